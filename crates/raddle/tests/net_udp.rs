//! UDP: what holds for std's sockets holds for raddle's, on threads of either kind, with each backend of the event queue.
#![allow(
    clippy::duplicate_mod,
    reason = "the same programs several times, which is what the test is about"
)]

mod net_kit;

net_kit::suites! {
    udp:
    datagrams_come_whole connected looking_ahead waiting_for_the_first receiving_times_out
    sending_times_out nobody_receives what_is_too_long who_does_not_wait clones options
    many_at_once;
    udp_kernel:
    groups descriptors_keep_their_modes debug_output;
}
