use raddle::thread;
use std::time::*;
fn switches()->u64{ let mut n=0; for t in std::fs::read_dir("/proc/self/task").unwrap(){ let s=std::fs::read_to_string(t.unwrap().path().join("status")).unwrap(); for l in s.lines(){ if l.contains("ctxt_switches") { n+=l.split_whitespace().last().unwrap().parse::<u64>().unwrap(); } } } n }
fn cpu()->f64{ let mut u:libc::timespec=unsafe{std::mem::zeroed()}; unsafe{libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID,&mut u)}; u.tv_sec as f64+u.tv_nsec as f64/1e9 }
fn main(){
  let t=Instant::now();
  let n: usize = std::env::args().nth(1).map_or(10000,|s| s.parse().unwrap());
  for _ in 0..n { drop(thread::spawn(|| thread::sleep(Duration::from_secs(100)))); }
  println!("spawned {:?}", t.elapsed());
  std::thread::sleep(Duration::from_millis(500));
  for l in std::fs::read_to_string("/proc/self/status").unwrap().lines() { if l.starts_with("VmRSS")||l.starts_with("VmPTE")||l.starts_with("Threads") { println!("{l}"); } }
  println!("maps {}", std::fs::read_to_string("/proc/self/maps").unwrap().lines().count());
  let (a,c)=(switches(),cpu()); std::thread::sleep(Duration::from_secs(5)); println!("switches {} cpu {:.6}", switches()-a, cpu()-c);
}
