//! Watching signals, children and files: the queue's methods for it.

use crate::event::Events;
use crate::interest::{Interest, Mode};
use crate::names::Watch;
use crate::queue::Queue;
use crate::slots::Kind;
use crate::sys;
use crate::watch::{self, Files};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl Queue {
    /// Reports [`What::Signal`](crate::What::Signal) for each of these signals that arrives.
    ///
    /// Blocks them in the calling thread. They must be blocked in all others too (a thread inherits that from its
    /// creator), else the kernel gives them to whoever has not.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a number that is no signal; else as `signalfd(2)`.
    ///
    /// ```
    /// use raddle_event::{Events, Queue, What};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Default::default())?;
    /// let mut events = Events::with_capacity(8);
    /// queue.signals(1, &[libc::SIGUSR1])?;
    /// // SAFETY: sends this thread a signal that it has blocked.
    /// unsafe { libc::raise(libc::SIGUSR1) };
    /// queue.wait(&mut events, None)?;
    /// let event = events.iter().next().expect("no time-out");
    /// assert!(matches!(event.what, What::Signal(signal) if signal.number == libc::SIGUSR1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn signals(&mut self, key: u64, numbers: &[i32]) -> io::Result<Watch> {
        let fd = watch::signals(numbers)?;
        self.watch_descriptor(Kind::Signals, key, fd)
    }

    /// Reports [`What::Exited`](crate::What::Exited) once, when the child process `pid` has ended. It is left to be waited for, and the watch is
    /// over.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is no such process, or it was waited for already; else as `pidfd_open(2)`.
    ///
    /// ```
    /// use raddle_event::{Events, Queue, What};
    /// use std::process::Command;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Default::default())?;
    /// let mut events = Events::with_capacity(8);
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// queue.child(1, child.id())?;
    /// queue.wait(&mut events, None)?;
    /// let event = events.iter().next().expect("no time-out");
    /// assert!(matches!(event.what, What::Exited(exit) if exit.code == Some(3)));
    /// assert_eq!(child.wait()?.code(), Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn child(&mut self, key: u64, pid: u32) -> io::Result<Watch> {
        let fd = sys::pidfd(pid)?;
        self.watch_descriptor(Kind::Child, key, fd)
    }

    /// Reports [`What::Changed`](crate::What::Changed) when the file or directory at `path` changes as `mask` says: `libc::IN_MODIFY`,
    /// `IN_CREATE` and so on, see `inotify(7)`. Of a directory, changes of its entries too, with their names.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if this queue watches that file, under whatever name; else as `inotify_add_watch(2)`.
    ///
    /// ```
    /// use raddle_event::{Events, Queue, What};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let folder = std::env::temp_dir().join(format!("raddle-event-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder)?;
    /// let mut queue = Queue::new(&Default::default())?;
    /// let mut events = Events::with_capacity(8);
    /// queue.changes(1, &folder, libc::IN_CREATE)?;
    /// std::fs::write(folder.join("new"), "")?;
    /// queue.wait(&mut events, None)?;
    /// let event = events.iter().next().expect("no time-out");
    /// let What::Changed(change) = event.what else { panic!("{event:?}") };
    /// assert_eq!(events.name(&change), Some("new".as_ref()));
    /// # std::fs::remove_dir_all(&folder)
    /// # }
    /// ```
    pub fn changes(&mut self, key: u64, path: impl AsRef<Path>, mask: u32) -> io::Result<Watch> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes())?;
        if self.watches.files.is_none() {
            let watch = self.watch_descriptor(Kind::Files, 0, sys::inotify()?)?;
            self.watches.files = Some(Files::new(watch.0 as u32));
        }
        let index = self.core.slots.take(Kind::File, key)?;
        if let Err(error) = self.watches.add_file(&path, mask, index) {
            self.core.drop_slot(index);
            return Err(error);
        }
        Ok(Watch(self.core.slots.name(index)))
    }

    /// Ends a watch: nothing is reported of it from here on. False if it had ended.
    pub fn unwatch(&mut self, watch: Watch) -> bool {
        let Some(index) = self.core.slots.find(watch.0) else { return false };
        match self.core.slots[index].kind {
            Kind::Signals | Kind::Child => self.end_watch(index),
            Kind::File => {
                self.watches.forget_file(index);
                self.core.drop_slot(index);
            }
            Kind::Free | Kind::Registration | Kind::Operation | Kind::Files => return false,
        }
        true
    }

    fn watch_descriptor(&mut self, kind: Kind, key: u64, fd: OwnedFd) -> io::Result<Watch> {
        let index = self.register_as(kind, fd.as_raw_fd(), key, Interest::READ, Mode::Level)?;
        self.watches.insert(index, fd);
        Ok(Watch(self.core.slots.name(index)))
    }

    /// Ends the watch of a descriptor, and closes it.
    pub(crate) fn end_watch(&mut self, index: u32) {
        let fd = self.core.slots[index].fd;
        self.end_registration(fd);
        self.watches.remove(index);
    }

    /// Reports changes of watched files as far as there is room.
    pub(crate) fn deliver_changes(&mut self, index: u32, events: &mut Events) {
        let Some(mut files) = self.watches.files.take() else { return };
        let mut ended = Vec::new();
        let mut has_more = false;
        if let Some(fd) = self.watches.get(index) {
            let slots = &self.core.slots;
            let key = |of: u32| (slots[of].key, Watch(slots.name(of)));
            has_more = files.report(fd, events, key, |of| ended.push(of));
        }
        self.watches.files = Some(files);
        ended.into_iter().for_each(|of| self.core.drop_slot(of));
        if has_more {
            self.core.report(index);
        }
    }
}
