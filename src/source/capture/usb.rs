//! Resetting a USB capture device whose firmware has crashed, by sysfs (kernel doc
//! `Documentation/ABI/testing/sysfs-bus-usb`): `authorized` unbinds and binds its drivers, `port/disable`
//! takes the power of its port where the hub can. It comes back under another node, perhaps.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::config::profile::UsbReset;

/// Where the kernel lists video devices.
pub(super) const CLASS: &str = "/sys/class/video4linux";
/// What a device's capacitors take to be empty.
const OFF: Duration = Duration::from_secs(1);

/// Resets the device of a node. `false` where nothing is to be done: the profile says so, or it is not on
/// USB.
///
/// # Errors
/// When the file of the kernel is not there (a hub that switches no power) or may not be written.
pub(super) fn reset(class: &Path, node: &Path, how: UsbReset) -> io::Result<bool> {
    let (file, off, on) = match how {
        UsbReset::None => return Ok(false),
        UsbReset::Authorized => ("authorized", "0", "1"),
        UsbReset::PortPower => ("port/disable", "1", "0"),
    };
    let Some(device) = device_of(class, node) else { return Ok(false) };
    let file = device.join(file);
    fs::write(&file, off)?;
    if how == UsbReset::PortPower {
        thread::sleep(OFF);
    }
    fs::write(&file, on)?;
    Ok(true)
}

/// The USB device above the interface that a node belongs to.
fn device_of(class: &Path, node: &Path) -> Option<PathBuf> {
    let interface = fs::canonicalize(class.join(node.file_name()?).join("device")).ok()?;
    let device = interface.parent()?;
    device.join("idVendor").exists().then(|| device.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_device_above_the_node_is_reset_as_the_profile_says() {
        let root = tempfile::tempdir().unwrap();
        let usb = root.path().join("usb1/1-2");
        let class = root.path().join("class");
        fs::create_dir_all(usb.join("1-2:1.0")).unwrap();
        fs::create_dir_all(class.join("video3")).unwrap();
        fs::create_dir_all(class.join("video4")).unwrap();
        symlink(usb.join("1-2:1.0"), class.join("video3/device")).unwrap();
        symlink(root.path().join("class"), class.join("video4/device")).unwrap();
        for (file, value) in [("idVendor", "0fd9"), ("authorized", "?")] {
            fs::write(usb.join(file), value).unwrap();
        }
        let node = Path::new("/dev/video3");
        assert!(!reset(&class, node, UsbReset::None).unwrap());
        assert_eq!(fs::read_to_string(usb.join("authorized")).unwrap(), "?");
        assert!(reset(&class, node, UsbReset::Authorized).unwrap());
        assert_eq!(fs::read_to_string(usb.join("authorized")).unwrap(), "1");
        // A hub that switches no power.
        assert!(reset(&class, node, UsbReset::PortPower).is_err());
        // Not on USB, and not there at all.
        for node in ["/dev/video4", "/dev/video5"] {
            assert!(!reset(&class, Path::new(node), UsbReset::Authorized).unwrap());
        }
    }
}
