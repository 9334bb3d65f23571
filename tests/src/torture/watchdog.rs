//! A kernel thread that sees to it that something moves. It neither allocates nor locks: it would hang with the others.

use super::kernel;
use super::world::{KERNEL_THREADS_MAX, Line, World};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing moved for so long: threads are lost,
const PATIENCE: Duration = Duration::from_secs(20);
/// or as good as nothing: where all workers wait for one another, only calls that time out move on, now and then.
const STEPS: u64 = 20;
/// One actor that has been at the same operation for so long is lost, even if the others go on,
const PATIENCE_WITH_ONE: Duration = Duration::from_secs(90);
/// and there were so many dispatches for each actor since. Time alone says nothing where the kernel runs others: at `nice 15` beside
/// four loops the process gets a fortieth of two processors, and a thousand actors that take turns have had some fifty each in 90 s; a
/// baton that goes round a ring takes 480, one after another.
const TURNS: u64 = 1_000;

pub(super) fn start(world: &'static World, shows_progress: bool) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || watch(world, shows_progress))
        .expect("a kernel thread")
}

fn watch(world: &'static World, shows_progress: bool) {
    let mut last = world.progress();
    let mut moved_at = Instant::now();
    let mut shown_at = Instant::now();
    while !world.is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        count_kernel_threads(world);
        let now = world.progress();
        if let Ok(runtime) = raddle::Runtime::get() {
            world.dispatches.store(runtime.counters().dispatches, Ordering::Relaxed);
        }
        if now >= last + STEPS {
            (last, moved_at) = (now, Instant::now());
        }
        if shown_at.elapsed() > Duration::from_secs(1) {
            shown_at = Instant::now();
            if shows_progress {
                let mut line = Line::new();
                let kernel_threads = world.kernel_threads.load(Ordering::Relaxed);
                let _ = write!(line, "\r{now} steps, {kernel_threads} kernel threads at most ");
                line.flush();
            }
            if world.print_stuck(PATIENCE_WITH_ONE, TURNS) > 0 {
                print_scheduler();
                world.fail(format_args!("the actors above are lost"));
            }
        }
        if moved_at.elapsed() > PATIENCE {
            let stuck = world.print_stuck(Duration::ZERO, 0);
            print_scheduler();
            world.fail(format_args!(
                "fewer than {STEPS} steps in {PATIENCE:?}; {stuck} operations are under way"
            ));
        }
    }
}

fn print_scheduler() {
    let Ok(runtime) = raddle::Runtime::get() else { return };
    let mut line = Line::new();
    let _ = writeln!(line, "  {:?}", runtime.counters());
    line.flush();
    raddle::debug_dump(&mut |text| {
        let mut line = Line::new();
        let _ = writeln!(line, "  {text}");
        line.flush();
    });
}

fn count_kernel_threads(world: &World) {
    let count = kernel::kernel_threads();
    world.kernel_threads.fetch_max(count, Ordering::Relaxed);
    if count > KERNEL_THREADS_MAX {
        print_scheduler();
        world.print_stuck(Duration::ZERO, 0);
        world.fail(format_args!("{count} kernel threads: more than {KERNEL_THREADS_MAX}"));
    }
}
