//! `raddle::fs` against `std::fs`: the same programs with both, the same errors from both; what waits, and walks.
#![allow(clippy::duplicate_mod, reason = "the same programs with both")]

#[path = "fs_work/errors.rs"]
mod errors;
mod io_kit;
#[path = "fs_work/waits.rs"]
mod waits;
#[path = "fs_work/walks.rs"]
mod walks;

use io_kit::{Case, Everywhere, Kind, filter, main_with, on, refuse};
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use std::process::ExitCode;

/// The same programs with either.
macro_rules! with_both {
    ($($file:ident: $($case:ident)+;)+) => {
        #[path = "fs_work"]
        mod with_std {
            pub(crate) mod fs {
                pub(crate) use std::fs::*;
                pub(crate) use std::os::unix::fs::symlink;
            }
            $(pub(crate) mod $file;)+
        }
        #[path = "fs_work"]
        mod with_raddle {
            pub(crate) use raddle::fs;
            $(pub(crate) mod $file;)+
        }

        fn of_std() -> Vec<Case> {
            vec![$($(Case::new(concat!(stringify!($case), "_with_std"), || {
                with_std::$file::$case(Kind::Kernel);
            })),+),+]
        }

        fn of_raddle() -> Vec<Everywhere> {
            vec![$($(Everywhere {
                name: stringify!($case),
                run: with_raddle::$file::$case,
                before: || (),
                missing: None,
            }),+),+]
        }
    };
}

with_both! {
    files:
        what_was_written_is_read
        a_position_is_the_files
        offsets_leave_the_position_alone
        several_slices
        how_a_file_may_be_opened
        what_is_appended_goes_to_the_end
        a_length_is_set
        what_is_written_reaches_the_disk
        handles_share_a_file
        times_and_permissions
        special_files
        large_files
        locks_are_taken_and_given_back
        modes_are_what_was_asked_for
        a_mode_that_was_changed_stays
        conversions;
    directories:
        whole_files_at_once
        copies
        what_is_there
        names_and_links
        directories_are_made_and_removed
        directories_are_listed
        builders_of_directories
        permissions_by_name;
}

fn main() -> ExitCode {
    use {errors::*, waits::*, walks::*};
    let mut all = of_raddle();
    all.extend(io_kit::cases![
        errors_are_those_of_std,
        options_that_contradict_are_refused_as_by_std,
        a_fifo_is_opened_by_two,
        a_lock_is_waited_for,
        cold_files_are_read,
        nobody_sees_a_mode_that_is_still_to_be_set,
        opening_holds_no_kernel_thread,
        a_token_ends_the_opening_of_a_fifo,
        all_is_found_once,
        depths_are_kept_to,
        contents_come_first_if_that_is_wished,
        an_order_is_kept,
        large_directories_come_in_batches,
        what_is_not_wanted_is_passed_by,
        links_are_followed_or_not,
        links_that_lead_back_are_told,
        a_root_may_be_anything,
        what_goes_wrong_is_told_and_the_walk_goes_on,
        file_systems_are_not_left,
        a_token_ends_a_walk,
        many_walk_at_once,
    ]);
    let mut own = of_std();
    own.push(Case::new("a_simulated_host_has_no_files", || {
        errors::simulated();
    }));
    own.push(Case::new("without_privileges_errors_are_those_of_std", || {
        errors::give_up_privileges();
        for kind in [Kind::Raddle, Kind::Kernel] {
            on(kind, move || {
                errors::errors_are_those_of_std(kind);
                errors::forbidden(kind);
                walks::forbidden(kind);
            });
        }
    }));
    let case = Case::new("a_fifo_is_known_where_a_sandbox_forbids_to_ask_for_pipes", move || {
        refuse(libc::SYS_fcntl, libc::EPERM, refusal(libc::F_GETPIPE_SZ));
        for kind in [Kind::Raddle, Kind::Kernel] {
            on(kind, move || {
                a_fifo_is_opened_by_two(kind);
                a_token_ends_the_opening_of_a_fifo(kind);
            });
        }
    });
    let missing = filter(libc::SYS_fcntl, libc::EPERM, refusal(libc::F_GETPIPE_SZ)).err();
    own.push(case.unless(missing));
    main_with(all, own)
}

/// For `fcntl(2)` with this command.
fn refusal(command: i32) -> Vec<SeccompRule> {
    let (length, equals) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
    let condition = SeccompCondition::new(1, length, equals, command as u64);
    let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
    vec![rule.expect("there is such an argument")]
}
