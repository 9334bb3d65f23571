//! What `raddle-bench threads` measures of raddle: its threads, on as many cores as `RADDLE_CORES` says, and with slices of
//! `RADDLE_SLICE` where the case wants them; the driver sets both.
#![deny(unsafe_code)]

use raddle::sync::{Mutex, mpsc};
use raddle::thread::{self, JoinHandle};
use raddle_bench::blocking::{self, Threads};
use raddle_bench::subject;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    subject::main(blocking::run::<Raddle>)
}

struct Raddle;

impl Threads for Raddle {
    type Handle = JoinHandle<()>;
    type Mutex = Mutex<u64>;
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn enter(_cores: usize) -> Result<(), String> {
        // It starts itself with its first thread.
        Ok(())
    }

    fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
        thread::Builder::new().spawn(work).map_err(|error| error.to_string())
    }

    fn join(thread: JoinHandle<()>) {
        thread.join().expect("no thread of a case panics");
    }

    fn yield_now() {
        thread::yield_now();
    }

    fn sleep(time: Duration) {
        thread::sleep(time);
    }

    fn park() {
        thread::park();
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

    fn set_nice(nice: i32) -> Result<(), String> {
        thread::set_priority(thread::Priority::new(nice));
        Ok(())
    }
}
