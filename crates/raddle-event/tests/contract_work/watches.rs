//! Signals, children, files.

use crate::kit::{Setup, errno};
use raddle_event::{Change, Event, What};
use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::Duration;

crate::cases![
    signals_arrive,
    a_childs_end_is_told_and_left_to_be_waited_for,
    changes_of_a_directory_come_with_names,
    a_watch_that_was_ended_is_silent,
    more_changes_than_a_batch_holds,
    all_hear_of_lost_changes_in_batches_of_any_size,
];

fn signals_arrive(setup: Setup) {
    let mut kit = setup.kit();
    let watch = kit.queue.signals(5, &[libc::SIGUSR1, libc::SIGUSR2]).unwrap();
    for number in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGUSR1] {
        // SAFETY: this thread has blocked it.
        unsafe { libc::raise(number) };
        let event = kit.one();
        let What::Signal(signal) = event.what else { panic!("{event:?}") };
        assert_eq!((event.key, signal.number, signal.pid), (5, number, std::process::id()));
    }
    assert!(kit.queue.unwatch(watch) && !kit.queue.unwatch(watch));
    let error = kit.queue.signals(6, &[9999]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    kit.nothing();
}

fn a_childs_end_is_told_and_left_to_be_waited_for(setup: Setup) {
    let mut kit = setup.kit();
    for (script, code, signal) in [("exit 3", Some(3), None), ("kill -9 $$", None, Some(9))] {
        let mut child =
            Command::new("sh").args(["-c", &format!("sleep 0.02; {script}")]).spawn().unwrap();
        kit.queue.child(8, child.id()).unwrap();
        let event = kit.one();
        let What::Exited(exit) = event.what else { panic!("{event:?}") };
        assert_eq!((event.key, exit.code, exit.signal), (8, code, signal));
        kit.nothing();
        assert_eq!(child.wait().unwrap().code(), code);
        let error = kit.queue.child(8, child.id()).unwrap_err();
        assert_eq!(errno(Err(error)), Some(libc::ESRCH));
    }
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(setup: Setup, name: &str) -> Folder {
        let name =
            format!("raddle-event-{}-{}-{}-{name}", std::process::id(), setup.backend, setup.wake);
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn change(event: &Event) -> Change {
    match event.what {
        What::Changed(change) => change,
        other => panic!("not a change: {other:?}"),
    }
}

fn changes_of_a_directory_come_with_names(setup: Setup) {
    let folder = Folder::new(setup, "names");
    let mut kit = setup.kit();
    let mask = libc::IN_CREATE | libc::IN_DELETE | libc::IN_DELETE_SELF;
    let watch = kit.queue.changes(4, &folder.0, mask).unwrap();
    let again = kit.queue.changes(5, &folder.0, mask).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    assert!(kit.queue.changes(5, "/does/not/exist", mask).is_err());
    fs::write(folder.0.join("one"), "").unwrap();
    fs::write(folder.0.join("two"), "").unwrap();
    fs::remove_file(folder.0.join("one")).unwrap();
    let mut found: Vec<(u32, OsString)> = Vec::new();
    while found.len() < 3 {
        for event in kit.wait() {
            let change = change(&event);
            assert_eq!((event.key, change.watch), (4, watch));
            found.push((change.mask, kit.events.name(&change).unwrap().to_owned()));
        }
    }
    let expected = [(libc::IN_CREATE, "one"), (libc::IN_CREATE, "two"), (libc::IN_DELETE, "one")];
    assert_eq!(found, expected.map(|(mask, name)| (mask, name.into())));
    fs::remove_dir_all(&folder.0).unwrap();
    let last = kit.until(|event| change(event).mask & libc::IN_IGNORED != 0);
    assert_eq!(kit.events.name(&change(&last)), None);
    assert!(!kit.queue.unwatch(watch), "it has ended");
}

fn a_watch_that_was_ended_is_silent(setup: Setup) {
    let (one, two) = (Folder::new(setup, "one"), Folder::new(setup, "two"));
    let mut kit = setup.kit();
    let first = kit.queue.changes(1, &one.0, libc::IN_CREATE).unwrap();
    kit.queue.changes(2, &two.0, libc::IN_CREATE).unwrap();
    fs::write(one.0.join("a"), "").unwrap();
    assert!(kit.queue.unwatch(first));
    kit.nothing();
    fs::write(two.0.join("b"), "").unwrap();
    assert_eq!(kit.one().key, 2);
    let mut child = Command::new("sleep").arg("0.01").spawn().unwrap();
    let watch = kit.queue.child(3, child.id()).unwrap();
    child.wait().unwrap();
    assert!(kit.queue.unwatch(watch) && !kit.queue.unwatch(watch));
    kit.nothing();
}

fn more_changes_than_a_batch_holds(setup: Setup) {
    let folder = Folder::new(setup, "many");
    let mut kit = setup.kit_with(setup.config(), 3);
    kit.queue.changes(1, &folder.0, libc::IN_CREATE).unwrap();
    for number in 0..200 {
        fs::write(folder.0.join(format!("file-{number}")), "").unwrap();
    }
    let mut next = 0;
    while next < 200 {
        for event in kit.wait() {
            let name = kit.events.name(&change(&event)).unwrap().to_owned();
            assert_eq!(name, OsString::from(format!("file-{next}")));
            next += 1;
        }
    }
    assert_eq!(kit.queue.wait(&mut kit.events, Some(Duration::ZERO)).unwrap(), 0);
}

fn all_hear_of_lost_changes_in_batches_of_any_size(setup: Setup) {
    const CAPACITY: usize = 2;
    let room = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let room: usize = room.trim().parse().unwrap();
    let folders = [1, 2, 3, 4, 5].map(|key| (key, Folder::new(setup, &format!("lost-{key}"))));
    let mut kit = setup.kit_with(setup.config(), CAPACITY);
    for (key, folder) in &folders {
        fs::write(folder.0.join("file"), "").unwrap();
        kit.queue.changes(*key, &folder.0, libc::IN_OPEN | libc::IN_CLOSE).unwrap();
    }
    // Two changes each, which are not taken for one.
    for _ in 0..room / 2 + 1 {
        fs::File::open(folders[0].1.0.join("file")).unwrap();
    }
    let mut losers = Vec::new();
    while losers.len() < folders.len() {
        let events = kit.wait();
        assert!(events.len() <= CAPACITY, "{events:?}");
        let lost = events.iter().filter(|event| change(event).mask == libc::IN_Q_OVERFLOW);
        losers.extend(lost.map(|event| event.key));
    }
    assert_eq!(losers, folders.each_ref().map(|(key, _)| *key));
    kit.nothing();
    fs::File::open(folders[4].1.0.join("file")).unwrap();
    assert_eq!(kit.wait()[0].key, 5, "it goes on afterwards");
}
