//! Workers that replaced blocked ones end when nobody has needed them for a while. Catches kernel threads, descriptors, mappings or memory
//! that stay behind; a worker that is asked for just as it ends; a signal, a change of credentials, a fork or a list of threads that meets one
//! on its way out; a monitor that never goes back to sleep.
//!
//! Each case is a process of its own. In races spares end after a millisecond; the seed is printed, and `RADDLE_RACE_SEED` sets it.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
#[path = "../../raddle-context/tests/children/mod.rs"]
mod children;

use children::Case;
use raddle::thread;
use raddle_core::random::Random;
use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

const CORES: usize = 2;
/// What policy keeps on two cores.
const SPARES_KEPT: usize = 2;

fn main() -> ExitCode {
    let not_root = (calls::geteuid() != 0).then_some("only root may go to another root");
    let race = |name: &str, run: fn(&mut Random)| {
        Case::new(name, move || {
            set_up("1ms");
            run(&mut Random::from_seed(seed()));
            assert_few_workers_soon();
        })
    };
    children::main(vec![
        Case::new("convoys_leave_nothing_behind", convoys_leave_nothing_behind),
        Case::new("a_convoy_of_many_more_than_are_in_stock", many_more_than_in_stock),
        Case::new("an_idle_process_sleeps_again", an_idle_process_sleeps_again),
        Case::new("bodies_are_used_again", bodies_are_used_again),
        Case::new("descriptors_that_are_somebody_elses_by_now", somebody_elses_descriptors),
        Case::new("blocked_is_seen_without_proc", blocked_is_seen_without_proc).unless(not_root),
        race("a_spare_is_asked_for_as_it_ends", asked_for),
        race("credentials_change_as_it_ends", credentials_change),
        race("a_fork_as_it_ends", forks),
        race("threads_are_listed_as_it_ends", lists).checked(|child| {
            child.expect(child.status.success(), "it succeeds")?;
            child.expect(child.stderr.contains("asleep; 2 cores"), "threads are listed")
        }),
    ])
}

fn set_up(keep_alive: &str) {
    set("RADDLE_CORES", &CORES.to_string());
    set("RADDLE_KEEP_ALIVE", keep_alive);
    calls::alarm(50);
}

/// A setting, before there is a runtime to read it.
fn set(name: &str, value: &str) {
    // SAFETY: each case sets up its own process first, which has one kernel thread then.
    unsafe { std::env::set_var(name, value) };
}

fn usleep(us: u32) {
    // SAFETY: a number only.
    unsafe { libc::usleep(us) };
}

fn close(fd: i32) {
    // SAFETY: a pipe's end that the caller opened, and nobody uses any more.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

fn seed() -> u64 {
    let seed = std::env::var("RADDLE_RACE_SEED").ok().map_or_else(
        || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    println!("RADDLE_RACE_SEED={seed}");
    seed
}

/// Ids of the kernel threads that are workers.
fn workers() -> BTreeSet<u32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    tasks
        .filter(|task| {
            // One that ends meanwhile has no name.
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            name.trim() == "raddle-worker"
        })
        .map(|task| task.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

fn wait_until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_few_workers_soon() {
    let most = CORES + SPARES_KEPT;
    wait_until("few workers", Duration::from_secs(15), || workers().len() <= most);
}

/// So many threads block in raw reads at once, and come back.
fn convoy(count: usize) {
    let [from, to] = calls::pipe();
    let read = move || {
        let mut byte = [0];
        while calls::read(from, &mut byte) != 1 {}
    };
    let blocked: Vec<_> = (0..count).map(|_| thread::spawn(read)).collect();
    // The last ones keep their cores: nobody waits for those.
    let patience = Duration::from_secs(20);
    wait_until("replacements", patience, || workers().len() > count - CORES);
    let bytes = vec![1u8; count];
    assert_eq!(calls::write(to, &bytes), count as isize);
    blocked.into_iter().for_each(|thread| thread.join().unwrap());
    [from, to].into_iter().for_each(close);
}

/// Descriptors, mappings, resident KiB.
fn what_it_has() -> [usize; 3] {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    [
        fs::read_dir("/proc/self/fd").unwrap().count(),
        fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
        resident.trim().trim_end_matches(" kB").parse().unwrap(),
    ]
}

fn convoys_leave_nothing_behind() {
    set_up("300ms");
    let mut before = None;
    for round in 0..6 {
        convoy(100);
        assert_few_workers_soon();
        let now = what_it_has();
        println!("round {round}: descriptors, mappings, KiB {now:?}");
        let first = *before.get_or_insert(now);
        // Warm from the second round on.
        if round == 1 {
            before = Some(now);
        } else if round > 1 {
            assert!(now[0] <= first[0] + 1, "descriptors: {first:?} became {now:?}");
            assert!(now[1] <= first[1] + 8, "mappings: {first:?} became {now:?}");
            assert!(now[2] <= first[2] + 2_048, "memory: {first:?} became {now:?}");
        }
    }
}

/// New workers are made faster than anybody fills the stock.
fn many_more_than_in_stock() {
    set_up("100ms");
    for _ in 0..4 {
        convoy(400);
        assert_few_workers_soon();
    }
}

/// With the usual time.
fn an_idle_process_sleeps_again() {
    set("RADDLE_CORES", &CORES.to_string());
    // SAFETY: as in `set`.
    unsafe { std::env::remove_var("RADDLE_KEEP_ALIVE") };
    convoy(60);
    assert_few_workers_soon();
    // For a look or two of those who have just ended, and until the monitor is drowsy.
    std::thread::sleep(Duration::from_millis(200));
    let before = switches_of_others();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(switches_of_others(), before, "the process was awake");
}

/// Context switches of all kernel threads but the calling one.
fn switches_of_others() -> u64 {
    let own = calls::gettid().to_string();
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
    let status = tasks
        .filter(|task| task.file_name().to_str() != Some(own.as_str()))
        .map(|task| fs::read_to_string(task.path().join("status")).unwrap());
    let count = |status: String| -> u64 {
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
    };
    status.map(count).sum()
}

/// Many more workers than there are at once.
fn bodies_are_used_again() {
    set_up("20ms");
    let mut seen = BTreeSet::new();
    let mut most = 0;
    for _ in 0..30 {
        convoy(20);
        let now = workers();
        most = most.max(now.len());
        seen.extend(now);
        assert_few_workers_soon();
    }
    assert!(seen.len() > 3 * most, "{} workers in all, {most} at once", seen.len());
    // Regions of workers' bodies: had each worker a new one, there would be hundreds.
    let [_, mappings, _] = what_it_has();
    assert!(mappings < 250, "{mappings} mappings");
}

/// A program that closes all descriptors takes those away by which workers are watched, and gets the numbers for its own.
fn somebody_elses_descriptors() {
    set_up("20ms");
    let [from, to] = calls::pipe();
    let read = move || {
        let mut byte = [0];
        while calls::read(from, &mut byte) != 1 {}
    };
    let blocked: Vec<_> = (0..20).map(|_| thread::spawn(read)).collect();
    wait_until("replacements", Duration::from_secs(20), || workers().len() > 18);
    let link = |fd: i32| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let stat = |fd: &i32| link(*fd).to_str().is_some_and(|path| path.ends_with("/stat"));
    let theirs: Vec<_> = (0..1000).filter(stat).collect();
    assert!(theirs.len() > 18, "{theirs:?}");
    // SAFETY: a constant string. What the descriptors stand for is theirs by number only, which is what the case is about.
    let own = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
    // SAFETY: as above.
    theirs.iter().for_each(|&fd| assert_eq!(unsafe { libc::dup2(own, fd) }, fd));
    assert_eq!(calls::write(to, &[1; 20]), 20);
    blocked.into_iter().for_each(|thread| thread.join().unwrap());
    assert_few_workers_soon();
    // SAFETY: numbers only.
    let lost: Vec<_> =
        theirs.into_iter().filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1).collect();
    assert!(lost.is_empty(), "closed: {lost:?}");
}

/// Where there is no `/proc`, a clock of processor time that stands still has to do.
fn blocked_is_seen_without_proc() {
    set_up("1s");
    // A signal would send them to the queue.
    set("RADDLE_SLICE", "off");
    let place = std::env::temp_dir().join(format!("raddle-no-proc-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    std::os::unix::fs::chroot(&place).unwrap();
    std::env::set_current_dir("/").unwrap();
    let [from, to] = calls::pipe();
    let blocked: Vec<_> = (0..5)
        .map(|_| {
            thread::spawn(move || {
                let mut byte = [0];
                while calls::read(from, &mut byte) != 1 {}
            })
        })
        .collect();
    let sleeper = thread::spawn(|| (0..5).for_each(|_| thread::sleep(Duration::from_millis(1))));
    sleeper.join().unwrap();
    assert_eq!(calls::write(to, &[1; 5]), 5);
    blocked.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Waves of threads that sleep in the kernel, with pauses in which spares end: until `is_over`. Gives how many have come back.
fn waves(random: &mut Random, mut is_over: impl FnMut() -> bool) -> usize {
    let back = Arc::new(AtomicUsize::new(0));
    let mut begun = 0;
    while !is_over() {
        let count = 1 + random.below(30) as usize;
        begun += count;
        let wave: Vec<_> = (0..count)
            .map(|_| {
                let back = back.clone();
                let (asleep_us, announced) = (100 + random.below(4_000), random.one_in(4));
                thread::spawn(move || {
                    let sleep = || usleep(asleep_us as u32);
                    if announced {
                        raddle::blocking(sleep)
                    } else {
                        sleep()
                    };
                    back.fetch_add(1, Relaxed);
                })
            })
            .collect();
        wave.into_iter().for_each(|thread| thread.join().unwrap());
        std::thread::sleep(Duration::from_micros(random.below(6_000)));
    }
    assert_eq!(back.load(Relaxed), begun);
    begun
}

fn until(time: Duration) -> impl FnMut() -> bool {
    let began = Instant::now();
    move || began.elapsed() > time
}

fn asked_for(random: &mut Random) {
    let (mut seen, mut most) = (BTreeSet::new(), 0);
    let mut is_over = until(Duration::from_secs(4));
    waves(random, || {
        let now = workers();
        most = most.max(now.len());
        seen.extend(now);
        is_over()
    });
    println!("{} workers in all, {most} seen at once", seen.len());
    assert!(seen.len() > 2 * most, "{} workers in all, {most} at once: few have ended", seen.len());
}

/// Credentials of all kernel threads, set to what they are. That is refused nobody.
fn credentials_change(random: &mut Random) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let changes = thread::spawn(move || {
        let group = getegid();
        let mut changes = 0;
        while !stopped.load(Relaxed) {
            assert_eq!(setegid(group), 0);
            changes += 1;
            thread::sleep(Duration::from_micros(200));
        }
        changes
    });
    waves(random, until(Duration::from_secs(4)));
    stop.store(true, Relaxed);
    assert!(changes.join().unwrap() > 20);
}

/// The child starts a runtime of its own, whose spares end as well.
fn forks(random: &mut Random) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let forks = thread::spawn(move || {
        while !stopped.load(Relaxed) {
            fork_one();
            thread::sleep(Duration::from_millis(1));
        }
    });
    let mut is_over = until(Duration::from_secs(4));
    waves(random, || {
        fork_one();
        is_over()
    });
    stop.store(true, Relaxed);
    forks.join().unwrap();
}

fn getegid() -> u32 {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::getegid() }
}

fn setegid(group: u32) -> i32 {
    // SAFETY: a number only, and the one that all kernel threads have already.
    unsafe { libc::setegid(group) }
}

fn fork_one() {
    let child = calls::fork();
    if child == 0 {
        calls::alarm(20);
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| usleep(1_000))).collect();
        let ended = threads.into_iter().map(thread::JoinHandle::join).all(|end| end.is_ok());
        std::thread::sleep(Duration::from_millis(5));
        calls::exit_now(i32::from(!ended));
    }
    assert!(calls::end_of(child).success(), "the child's");
}

fn lists(random: &mut Random) {
    // From then on the signal asks for a list.
    thread::spawn(|| ()).join().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let asks = std::thread::spawn(move || {
        while !stopped.load(Relaxed) {
            // SAFETY: numbers only; raddle handles the signal.
            unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    waves(random, until(Duration::from_secs(4)));
    stop.store(true, Relaxed);
    asks.join().unwrap();
}
