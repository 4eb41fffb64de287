//! Which process holds a port, where the operating system shows it in `/proc`.

use std::{fs, path::Path};

/// The state of a listening socket in `/proc/net/tcp` (Linux: `include/net/tcp_states.h`).
const LISTENS: &str = "0A";

/// The id of the process that listens on a port of this machine. `None` if it cannot be found: there is no `/proc`, or
/// the process belongs to another user.
pub(crate) fn process(port: u16) -> Option<u32> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| holds(&Path::new("/proc").join(id.to_string()).join("fd"), &sockets))
}

/// The inodes of the sockets that listen on the port.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let port = format!("{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, local) = address.rsplit_once(':')?;
        (local == port && *state == LISTENS).then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn holds(descriptors: &Path, sockets: &[String]) -> bool {
    let targets = fs::read_dir(descriptors).into_iter().flatten().flatten();
    let mut targets = targets.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target == Path::new(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1\n\
             1: 0100007F:2328 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 222 1\n\
             2: 0100007F:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1\n";
        assert_eq!(inodes(table, 9000), ["111"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_of_a_port_is_found_and_that_of_a_free_port_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(process(port), Some(std::process::id()));
        drop(listener);
        assert_eq!(process(port), None);
    }
}
