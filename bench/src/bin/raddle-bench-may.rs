//! What `raddle-bench threads` measures of may: its coroutines, with the stacks of 32 KiB that it gives by default.
#![deny(unsafe_code)]

use may::coroutine::{self, JoinHandle};
use may::sync::{Mutex, mpsc};
use raddle_bench::blocking::{self, Threads};
use raddle_bench::subject;
use std::process::ExitCode;
use std::time::Duration;

/// The crate counts stacks in words.
const STACK_WORDS: usize = 32 * 1024 / size_of::<usize>();

fn main() -> ExitCode {
    subject::main(blocking::run::<May>)
}

struct May;

impl Threads for May {
    type Handle = JoinHandle<()>;
    type Mutex = Mutex<u64>;
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn enter(cores: usize) -> Result<(), String> {
        may::config().set_workers(cores).set_stack_size(STACK_WORDS);
        Ok(())
    }

    fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
        Ok(may::go!(work))
    }

    fn join(thread: JoinHandle<()>) {
        thread.join().expect("no coroutine of a case panics");
    }

    fn yield_now() {
        coroutine::yield_now();
    }

    fn sleep(time: Duration) {
        coroutine::sleep(time);
    }

    fn park() {
        coroutine::park();
    }

    fn channel() -> (mpsc::Sender<u64>, mpsc::Receiver<u64>) {
        mpsc::channel()
    }

    fn send(to: &mpsc::Sender<u64>, number: u64) {
        to.send(number).expect("the other end waits");
    }

    fn receive(from: &mpsc::Receiver<u64>) -> u64 {
        from.recv().expect("the other end answers")
    }

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    fn add_one(to: &Mutex<u64>) {
        *to.lock().expect("nobody panicked") += 1;
    }
}
