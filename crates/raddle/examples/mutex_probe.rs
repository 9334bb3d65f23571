//! Probe.
use std::sync::Arc;
use std::time::*;
#[repr(C)]
struct libc_rusage([i64; 20]);
unsafe extern "C" {
    fn getrusage(w: i32, r: *mut libc_rusage) -> i32;
}
#[inline(always)]
fn work(n: u32) {
    for i in 0..n {
        std::hint::black_box(i);
    }
}
fn main() {
    let mode = std::env::args().nth(1).unwrap();
    let threads: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let ms: u64 = std::env::args().nth(3).map_or(1000, |s| s.parse().unwrap());
    let inside: u32 = std::env::args().nth(4).map_or(0, |s| s.parse().unwrap());
    let outside: u32 = std::env::args().nth(5).map_or(0, |s| s.parse().unwrap());
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut counts = vec![];
    let t = Instant::now();
    macro_rules! run {
        ($spawn:path, $mutex:ty, $join:expr) => {{
            let m = Arc::new(<$mutex>::new(0u64));
            let hs: Vec<_> = (0..threads)
                .map(|_| {
                    let (m, stop) = (m.clone(), stop.clone());
                    $spawn(move || {
                        let mut n = 0u64;
                        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                            for _ in 0..16 {
                                {
                                    let mut g = m.lock().unwrap();
                                    *g += 1;
                                    work(inside);
                                }
                                work(outside);
                            }
                            n += 16;
                        }
                        n
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(ms));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            for h in hs {
                counts.push(h.join().unwrap());
            }
            assert_eq!(*m.lock().unwrap(), counts.iter().sum::<u64>());
        }};
    }
    match &*mode {
        "raddle" => run!(raddle::thread::spawn, raddle::sync::Mutex<u64>, ()),
        "raddle-kernel" => run!(std::thread::spawn, raddle::sync::Mutex<u64>, ()),
        "std-raddle" => run!(raddle::thread::spawn, std::sync::Mutex<u64>, ()),
        "std" => run!(std::thread::spawn, std::sync::Mutex<u64>, ()),
        _ => panic!(),
    }
    let total: u64 = counts.iter().sum();
    let mut r: libc_rusage = unsafe { std::mem::zeroed() };
    unsafe { getrusage(0, &mut r) };
    let cpu = (r.0[0] + r.0[2]) as f64 * 1e9 + (r.0[1] + r.0[3]) as f64 * 1e3;
    print!("cpu {:.1} ", cpu / total as f64);
    println!(
        "{mode} {threads}: {:.1} ns/op  min {} max {} (tasks {})",
        t.elapsed().as_nanos() as f64 / total as f64,
        counts.iter().min().unwrap(),
        counts.iter().max().unwrap(),
        std::fs::read_dir("/proc/self/task").unwrap().count()
    );
}
