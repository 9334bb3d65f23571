//! Programs written for `std::thread` and `std::sync`, compiled once with these and once with raddle's: both must compile, and come to the
//! same. Between them they use every stable item of the two modules that is not deprecated.

#[path = "std_work/with_raddle.rs"]
mod with_raddle;
#[path = "std_work/with_std.rs"]
mod with_std;

/// One test for each program.
macro_rules! same {
    ($($program:ident)+) => {$(
        #[test]
        fn $program() {
            let wanted = with_std::programs::$program();
            assert_eq!(with_raddle::programs::$program(), wanted, "from a kernel thread");
            let inside = raddle::thread::spawn(with_raddle::programs::$program).join().unwrap();
            assert_eq!(inside, wanted, "from a raddle thread");
        }
    )+};
}

same! {
    threads_and_handles builders scopes parking panics names_and_ids locals
    mutexes rwlocks condvars barriers onces once_locks lazy_locks
    pipelines receivers full_and_empty errors auto_traits debug_output
}
