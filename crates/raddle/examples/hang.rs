//! A program that hangs: a thread holds a lock that two hundred wait for. To be looked at with `kill -QUIT`, gdb, or a trace; see
//! `docs/debugging.md`. It ends after as many seconds as the argument says, or ten.

use raddle::sync::Mutex;
use raddle::thread;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

fn deposit(account: &Mutex<i64>) {
    *account.lock().expect("nobody panics") += 1;
}

fn handle_request(account: &Mutex<i64>) {
    deposit(account);
}

fn heartbeat(number: u64) {
    thread::sleep(Duration::from_secs(3600 + number));
}

fn crunch() {
    let mut hash = 1u64;
    loop {
        hash = std::hint::black_box(hash.rotate_left(5) ^ 0x9e37_79b9_7f4a_7c15);
    }
}

fn tail(mut end: std::io::PipeReader) {
    let _ = end.read(&mut [0]);
}

fn start(name: String, main: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name).spawn(main).map(drop)
}

#[raddle::main]
fn main() -> std::io::Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(10), |text| text.parse());
    let seconds = seconds.map_err(|_| std::io::Error::other("give a number of seconds"))?;
    let account = Arc::new(Mutex::new(0));
    let held = account.lock().expect("nobody panics");
    for number in 0..200 {
        let account = account.clone();
        start(format!("request-{number}"), move || handle_request(&account))?;
    }
    for number in 0..50 {
        start(format!("heartbeat-{number}"), move || heartbeat(number))?;
    }
    let mut writers = Vec::new();
    for number in 0..2 {
        let (reader, writer) = std::io::pipe()?;
        writers.push(writer);
        start(format!("tail-{number}"), move || tail(reader))?;
    }
    start("crunch-0".into(), crunch)?;
    println!("kill -QUIT {}", std::process::id());
    thread::sleep(Duration::from_secs(seconds));
    drop(held);
    Ok(())
}
