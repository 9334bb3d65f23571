use raddle::thread;
use std::time::*;
fn main(){
  let mode=std::env::args().nth(1).unwrap_or("both".into());
  thread::spawn(move || {
    for _ in 0..10 { let n=1_000_000u64;
    if mode!="yield" { let t=Instant::now(); for _ in 0..n { thread::spawn(||()).join().unwrap() }; println!("spawn_join {:.1} ns", t.elapsed().as_nanos() as f64/n as f64); }
    if mode!="spawn" { let t=Instant::now(); { let h=thread::spawn(move || for _ in 0..n { thread::yield_now() }); for _ in 0..n { thread::yield_now() } h.join().unwrap(); } println!("yield_pair {:.1} ns", t.elapsed().as_nanos() as f64/n as f64/2.0); }
    }
  }).join().unwrap();
}
