//! The guest's virtual host controller (`drivers/usb/usbip/vhci_hcd`): one end of a socket pair is handed
//! over by writing its number into a file of sysfs, and is then the cable of a port.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// Bytes that a new socket holds. The usual 200 kB are a few payloads, and every wait costs a switch.
const BUFFER_FILE: &str = "/proc/sys/net/core/wmem_default";
const BUFFER: &str = "4194304";
/// usb_device_speed: super speed, 5 Gbit/s.
const SUPER_SPEED: u32 = 5;
/// State of a port with nothing in it (VDEV_ST_NULL).
const EMPTY: &str = "004";

/// Puts a plug into the first empty port; the answer is the camera's end of the cable, and the port.
///
/// # Errors
/// `NotFound` if there is no such controller, `AddrNotAvailable` if all its ports are taken.
pub(crate) fn plug() -> io::Result<(UnixStream, u32)> {
    let status = fs::read_to_string(format!("{CONTROLLER}/status"))?;
    let port = empty_port(&status).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let usual = fs::read_to_string(BUFFER_FILE)?;
    fs::write(BUFFER_FILE, BUFFER)?;
    let pair = UnixStream::pair();
    fs::write(BUFFER_FILE, usual)?;
    let (ours, kernels) = pair?;
    // The kernel takes its own reference to the socket; our number for it may be closed then.
    let line = format!("{port} {} {} {SUPER_SPEED}", kernels.as_raw_fd(), 0x0001_0002);
    fs::write(format!("{CONTROLLER}/attach"), line)?;
    Ok((ours, port))
}

/// Lines of `status`: hub, port, state, speed, device, socket, bus identifier.
fn empty_port(status: &str) -> Option<u32> {
    status.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (hub, port, state) = (words.next()?, words.next()?, words.next()?);
        (hub == "ss" && state == EMPTY).then(|| port.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_empty_port_of_super_speed_is_taken() {
        let status = "hub port sta spd dev      sockfd local_busid\n\
                      hs  0000 004 000 00000000 000000 0-0\n\
                      ss  0008 006 005 00010002 000003 1-1\n\
                      ss  0009 004 000 00000000 000000 0-0\n";
        assert_eq!(empty_port(status), Some(9));
        assert_eq!(empty_port("ss  0008 006 005 00010002 000003 1-1\n"), None);
    }
}
