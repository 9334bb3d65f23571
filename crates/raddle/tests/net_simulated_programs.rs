//! The programs that run with std's sockets and with raddle's run unchanged on a fake host, and see nothing else there.
//!
//! Each under several seeds: on a host whose packets are there at once, and on one where they take their time.

mod fake_host;

#[path = "net_work"]
mod programs {
    pub(crate) use raddle::{net, thread, time};
    pub(crate) mod tcp;
    pub(crate) mod tcp_threads;
    pub(crate) mod udp;
    #[path = "unusual_by_option.rs"]
    mod unusual;
}

use fake_host::Settings;

const SEEDS: u64 = 5;

fn near(program: fn()) {
    (0..SEEDS).for_each(|seed| Settings::new(seed).run(program).result.unwrap());
}

fn far(program: fn()) {
    (0..SEEDS).for_each(|seed| Settings::with_distance(seed).run(program).result.unwrap());
}

macro_rules! programs {
    ($($distance:ident $module:ident: $($case:ident)+;)+) => {
        $(mod $distance {$(
            #[test]
            fn $case() {
                super::super::$distance(crate::programs::$module::$case);
            }
        )+})+
    };
}

mod tcp {
    programs! {
        near tcp:
        bytes_go_both_ways addresses nobody_listens each_address_is_tried connecting_takes_too_long
        reads_time_out writes_time_out time_outs_are_kept looking_ahead shutting_down
        a_peer_that_is_gone a_reset who_does_not_wait clones several_buffers options
        listeners_do_not_wait;
        // Time stands still while a thread spins: those two would spin for ever.
        far tcp:
        bytes_go_both_ways addresses nobody_listens each_address_is_tried connecting_takes_too_long
        reads_time_out writes_time_out time_outs_are_kept looking_ahead shutting_down
        a_peer_that_is_gone a_reset clones several_buffers options;
    }
}

mod tcp_threads {
    programs! {
        near tcp_threads:
        many_accept much_at_once a_slow_reader a_thread_for_each_connection what_is_taken;
        far tcp_threads:
        many_accept much_at_once a_slow_reader a_thread_for_each_connection what_is_taken;
    }
}

mod udp {
    programs! {
        near udp:
        datagrams_come_whole connected looking_ahead waiting_for_the_first receiving_times_out
        sending_times_out nobody_receives what_is_too_long who_does_not_wait clones options
        many_at_once;
        far udp:
        datagrams_come_whole connected looking_ahead waiting_for_the_first receiving_times_out
        sending_times_out nobody_receives what_is_too_long clones options
        many_at_once;
    }
}
