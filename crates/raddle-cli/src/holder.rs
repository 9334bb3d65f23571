//! Who holds a port: the program's name and process, as far as this one may see.

use std::fs;
use std::net::SocketAddr;

/// The state of a socket that listens, in /proc/net/tcp.
const LISTENS: &str = "0A";

/// `nginx, process 1234`. `None` if the kernel says nothing: another user's program, or no /proc.
pub(crate) fn of(at: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let sockets: Vec<String> = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines())
        .filter_map(|line| inode_of_listener(line, at.port()))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.parse::<u32>().ok()
    });
    let mut holders = processes.filter(|process| holds_one_of(*process, &sockets));
    let process = holders.next()?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(format!("{}, process {process}", name.trim_end()))
}

/// The inode in a line about a socket that listens on this port: proc_pid_net(5).
fn inode_of_listener(line: &str, port: u16) -> Option<u64> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let local = words.next()?;
    let (_, its_port) = local.rsplit_once(':')?;
    let is_it = u16::from_str_radix(its_port, 16).is_ok_and(|its| its == port);
    let state = words.nth(1)?;
    let inode = words.nth(5)?;
    (is_it && state == LISTENS).then(|| inode.parse().ok()).flatten()
}

fn holds_one_of(process: u32, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let target = fs::read_link(descriptor.path());
        target
            .is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0 0 10 0";
        assert_eq!(inode_of_listener(line, 8080), Some(31337));
        assert_eq!(inode_of_listener(line, 8081), None);
        assert_eq!(inode_of_listener(&line.replace(" 0A ", " 01 "), 8080), None, "connected");
        assert_eq!(inode_of_listener("  sl  local_address rem_address   st tx_queue", 8080), None);
    }

    #[test]
    fn this_process_is_found() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(address).expect("some port is free");
            let found = of(listener.local_addr().expect("it is bound")).expect("it is ours");
            let own = format!("process {}", std::process::id());
            assert!(found.ends_with(&own) && found.starts_with(|c: char| c != ','), "{found}");
        }
    }
}
