use raddle::thread;
use std::time::*;
fn time(name:&str, n:u64, f: impl FnOnce()) { let t=Instant::now(); f(); println!("{name}: {:.1} ns", t.elapsed().as_nanos() as f64/n as f64); }
fn main(){
  println!("{}", thread::spawn(|| 41+1).join().unwrap());
  thread::spawn(|| {
    for _ in 0..3 {
    let n=300_000; time("spawn_join", n, || for _ in 0..n { thread::spawn(||()).join().unwrap() });
    let n=1_000_000; time("yield_pair", 2*n, || { let h=thread::spawn(move || for _ in 0..n { thread::yield_now() }); for _ in 0..n { thread::yield_now() } h.join().unwrap(); });
    let n=2_000; time("yield_many", 1000*n, || { let h:Vec<_>=(0..1000).map(|_| thread::spawn(move || for _ in 0..n { thread::yield_now() })).collect(); for h in h {h.join().unwrap()} });
    let n=100_000; time("spawn_many", n, || { let h:Vec<_>=(0..n).map(|_| thread::spawn(move || ())).collect(); for h in h {h.join().unwrap()} });
    let t=Instant::now(); thread::sleep(Duration::from_millis(5)); println!("slept {:?}", t.elapsed());
    }
  }).join().unwrap();
  // two hogs and main sleeper
  let h:Vec<_>=(0..4).map(|_| thread::spawn(|| { let t=Instant::now(); let mut x=0u64; while t.elapsed()<Duration::from_millis(1500) { for _ in 0..1000 { x=x.wrapping_mul(3).wrapping_add(1); std::hint::black_box(x);} } })).collect();
  let s=thread::spawn(|| { let mut l=vec![]; let t0=Instant::now(); while t0.elapsed()<Duration::from_millis(1000) { let t=Instant::now(); thread::sleep(Duration::from_millis(1)); l.push(t.elapsed().as_micros() as i64-1000); } l.sort(); println!("late n={} p50 {} p99 {} max {}", l.len(), l[l.len()/2], l[l.len()*99/100], l[l.len()-1]); });
  s.join().unwrap(); for h in h {h.join().unwrap()}
}
