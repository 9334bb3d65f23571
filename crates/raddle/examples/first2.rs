use raddle::thread;
use std::time::*;
use std::sync::*;
use std::sync::atomic::*;
fn main(){
  // raw blocking on every core, a sleeper beside
  let mut fds=[0i32;2]; unsafe{ libc::pipe(fds.as_mut_ptr()); }
  let r=fds[0];
  let b:Vec<_>=(0..4).map(|_| thread::spawn(move || { let mut c=[0u8;1]; unsafe{ libc::read(r,c.as_mut_ptr().cast(),1) } })).collect();
  let s=thread::spawn(|| { let mut worst=Duration::ZERO; let t0=Instant::now(); while t0.elapsed()<Duration::from_millis(1000) { let t=Instant::now(); thread::sleep(Duration::from_millis(1)); worst=worst.max(t.elapsed()); } worst });
  println!("longest gap {:?}", s.join().unwrap());
  unsafe{ libc::write(fds[1], b"abcd".as_ptr().cast(), 4); }
  for h in b { assert_eq!(h.join().unwrap(),1); }
  println!("tasks {}", std::fs::read_dir("/proc/self/task").unwrap().count());
  // std mutex holders
  let m=Arc::new(Mutex::new(0u64)); let stop=Arc::new(AtomicBool::new(false));
  let h:Vec<_>=(0..8).map(|_| { let (m,stop)=(m.clone(),stop.clone()); thread::spawn(move || { let mut n=0u64; while !stop.load(Ordering::Relaxed) { let mut g=m.lock().unwrap(); for _ in 0..20000 { *g=g.wrapping_mul(3)+1; std::hint::black_box(&mut *g);} drop(g); n+=1; } n }) }).collect();
  std::thread::sleep(Duration::from_secs(2)); stop.store(true,Ordering::Relaxed);
  let n:Vec<u64>=h.into_iter().map(|h| h.join().unwrap()).collect(); println!("mutex {:?} tasks {}", n, std::fs::read_dir("/proc/self/task").unwrap().count());
  // alloc storm with panics
  let t=Instant::now(); let mut total=0u64;
  while t.elapsed()<Duration::from_secs(3) {
    let h:Vec<_>=(0..200).map(|i| thread::spawn(move || { let mut v=Vec::new(); for k in 0..200 { v.push(format!("{i}-{k}")); if k%50==0 { thread::sleep(Duration::from_micros(100)); } } if i%50==7 { std::panic::resume_unwind(Box::new(7)); } v.len() })).collect();
    for h in h { match h.join() { Ok(n)=>assert_eq!(n,200), Err(_)=>total+=1 } }
  }
  println!("storm ok {total} tasks {}", std::fs::read_dir("/proc/self/task").unwrap().count());
}
