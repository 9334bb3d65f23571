//! Unix sockets: what holds for std's holds for raddle's, on threads of either kind, with each backend of the event queue.
#![allow(
    clippy::duplicate_mod,
    reason = "the same programs several times, which is what the test is about"
)]

mod net_kit;

net_kit::suites! {
    unix_sockets:
    pairs paths abstract_names what_can_not_be_named nobody_listens a_full_backlog
    streams_time_out streams_do_not_wait stream_clones several_buffers shutting_down
    a_slow_reader listeners descriptors_keep_their_modes datagrams datagram_names
    connected_datagrams a_receiver_without_room datagrams_time_out datagrams_do_not_wait
    datagram_errors debug_output;
}
