//! TCP: what holds for std's sockets holds for raddle's, on threads of either kind, with each backend of the event queue.
#![allow(
    clippy::duplicate_mod,
    reason = "the same programs several times, which is what the test is about"
)]

mod net_kit;

net_kit::suites! {
    tcp:
    bytes_go_both_ways addresses nobody_listens each_address_is_tried connecting_takes_too_long
    reads_time_out writes_time_out time_outs_are_kept looking_ahead shutting_down
    a_peer_that_is_gone a_reset who_does_not_wait clones several_buffers options
    listeners_do_not_wait;
    tcp_kernel:
    descriptors_keep_their_modes debug_output;
    tcp_threads:
    many_accept much_at_once a_slow_reader a_thread_for_each_connection what_is_taken;
}
