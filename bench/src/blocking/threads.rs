//! What a runtime has to offer to be measured: what `std` offers.

use std::sync::mpsc;
use std::time::Duration;

/// A runtime's calls, as its users would make them.
pub trait Threads: 'static {
    /// Joins a thread.
    type Handle: Send + 'static;
    /// Protects a number.
    type Mutex: Send + Sync + 'static;
    /// Ends of a channel that carries numbers.
    type Sender: Send + 'static;
    /// The other end.
    type Receiver: Send + 'static;

    /// Sets up the runtime for so many cores, if it does not do so by itself. Called once, on the process's first thread.
    ///
    /// # Errors
    ///
    /// If it can't run here.
    fn enter(cores: usize) -> Result<(), String>;

    /// Makes a thread.
    ///
    /// # Errors
    ///
    /// If there can't be one more.
    fn spawn(work: impl FnOnce() + Send + 'static) -> Result<Self::Handle, String>;

    /// Waits for a thread's end.
    fn join(thread: Self::Handle);

    /// Lets others run.
    fn yield_now();

    /// Sleeps.
    fn sleep(time: Duration);

    /// Waits to be woken by name. It may return early.
    fn park();

    /// A channel, as one would use it for a conversation.
    fn channel() -> (Self::Sender, Self::Receiver);

    /// Sends a number.
    fn send(to: &Self::Sender, number: u64);

    /// Waits for a number.
    fn receive(from: &Self::Receiver) -> u64;

    /// A mutex around zero.
    fn mutex() -> Self::Mutex;

    /// Locks, adds one, unlocks.
    fn add_one(to: &Self::Mutex);

    /// Gives the calling thread the share of the processor that a kernel thread of this nice value has.
    ///
    /// # Errors
    ///
    /// Where there are no priorities, and where this one may not be had.
    fn set_nice(_nice: i32) -> Result<(), String> {
        Err("has no priorities".into())
    }
}

/// The calls that a runtime has under `std`'s names, in a module like `std::thread` and one like `std::sync`.
#[macro_export]
macro_rules! calls_named_as_in_std {
    ($($thread:ident)::+, $($sync:ident)::+) => {
        type Handle = $($thread)::+::JoinHandle<()>;
        type Mutex = $($sync)::+::Mutex<u64>;
        type Sender = $($sync)::+::mpsc::Sender<u64>;
        type Receiver = $($sync)::+::mpsc::Receiver<u64>;

        fn join(thread: Self::Handle) {
            thread.join().expect("no thread of a case panics");
        }

        fn yield_now() {
            $($thread)::+::yield_now();
        }

        fn sleep(time: std::time::Duration) {
            $($thread)::+::sleep(time);
        }

        fn park() {
            $($thread)::+::park();
        }

        fn channel() -> (Self::Sender, Self::Receiver) {
            $($sync)::+::mpsc::channel()
        }

        fn send(to: &Self::Sender, number: u64) {
            to.send(number).expect("the other end waits");
        }

        fn receive(from: &Self::Receiver) -> u64 {
            from.recv().expect("the other end answers")
        }

        fn mutex() -> Self::Mutex {
            $($sync)::+::Mutex::new(0)
        }

        fn add_one(to: &Self::Mutex) {
            *to.lock().expect("nobody panicked") += 1;
        }
    };
}

/// Runs `work` on a thread of the runtime, and waits for it on this kernel thread, which is none of the runtime's.
pub(super) fn inside<T: Threads, R: Send + 'static>(
    work: impl FnOnce() -> Result<R, String> + Send + 'static,
) -> Result<R, String> {
    let (sender, receiver) = mpsc::channel();
    let thread = T::spawn(move || {
        // The receiver waits below.
        _ = sender.send(work());
    })?;
    let result = receiver.recv().map_err(|_| "the thread of the case has panicked".to_owned())?;
    T::join(thread);
    result
}
