//! The standard streams: as std's, in one order with std's, and with waits that hold nobody up.

#[path = "stdio_work/input.rs"]
mod input;
mod io_kit;
#[path = "stdio_work/output.rs"]
mod output;
#[path = "stdio_work/redirected.rs"]
mod redirected;

use io_kit::{Case, Kind, cases, main_with, on};
use raddle::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    use input::*;
    use output::*;
    let cases = cases![
        lines_are_written_when_they_are_complete,
        pieces_of_std_and_ours_keep_their_order,
        pieces_of_all_lengths_arrive,
        errors_are_written_at_once,
        the_lock_keeps_others_out_and_lets_its_owner_in,
        lines_of_many_threads_stay_whole,
        a_full_pipe_holds_no_kernel_thread,
        a_time_out_ends_a_wait_for_room,
        a_pipe_that_nobody_reads_is_an_error,
        a_file_is_written_in_order,
        what_others_have_made_non_blocking_is_waited_for,
        the_descriptors_mode_is_left_alone,
        a_terminal_is_written_to,
        a_child_gets_them,
        lines_are_read_one_by_one,
        all_ways_to_read,
        a_read_waits_and_holds_no_kernel_thread,
        a_token_ends_a_read_and_nothing_is_lost,
        lines_go_to_whoever_asks,
        a_file_is_read,
        a_terminal_is_read,
        what_is_buffered_is_copied_first,
    ];
    let own = vec![
        Case::new("what_was_begun_is_written_at_the_end", || {
            on(Kind::Raddle, || {
                write!(io::stdout(), "from raddle, ").unwrap();
                print!("from std");
            });
        })
        .checked(|child| {
            child.expect(child.stdout == "from raddle, from std", "all of it is there")
        }),
        Case::new("a_closed_input_is_at_its_end", a_closed_input_is_at_its_end),
        Case::new("a_closed_stream_swallows_all", a_closed_stream_swallows_all),
        Case::new("a_simulated_host_has_no_streams", simulated),
    ];
    main_with(cases, own)
}

fn simulated() {
    struct Standstill;
    impl raddle::host::Host for Standstill {
        fn now_ns(&self) -> u64 {
            1
        }
        fn choose(&self, _: usize) -> usize {
            0
        }
        fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
            assert!(deadline_ns.is_none(), "nobody has a deadline");
            false
        }
    }
    let errors = raddle::runtime::simulate(Box::new(Standstill), || {
        [
            io::stdin().read(&mut [0]).unwrap_err(),
            io::stdin().read_line(&mut String::new()).unwrap_err(),
            io::stdout().write_all(b"x").unwrap_err(),
            io::stdout().flush().unwrap_err(),
            io::stderr().write(b"x").unwrap_err(),
        ]
    });
    assert!(errors.unwrap().iter().all(|error| error.kind() == ErrorKind::Unsupported));
}
