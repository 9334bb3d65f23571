//! What `raddle-bench threads` measures of `std`: kernel threads, restricted to as many processors as the case has cores.
#![deny(unsafe_code)]

use raddle_bench::blocking::{self, Threads};
use raddle_bench::{process, subject};
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

fn main() -> ExitCode {
    subject::main(blocking::run::<Std>)
}

struct Std;

impl Threads for Std {
    type Handle = JoinHandle<()>;
    type Mutex = Mutex<u64>;
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn enter(cores: usize) -> Result<(), String> {
        process::use_cores(cores)
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
        process::set_nice(nice)
    }
}
