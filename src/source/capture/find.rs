//! Which V4L2 capture devices there are, from sysfs.
//!
//! `/dev/videoN` is no name: the numbers are given in the order of plugging in. What stays is where a
//! device is plugged in and what it is, so those can be asked for, and are found again after an unplug.

use std::fs;
use std::path::{Path, PathBuf};

use super::device::Device;
use super::error::CaptureError;

/// Nodes that are looked at.
const MOST: usize = 256;
/// The most of a sysfs file that is read (bytes).
const MOST_TEXT: usize = 256;

/// A node of sysfs that may be a capture device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Node, such as `/dev/video0`.
    pub path: PathBuf,
    /// Name that the driver gave the node.
    pub name: String,
    /// Which node of its device it is. Of a USB camera the first captures and the second has metadata.
    pub index: u32,
    /// Vendor and product of a USB device.
    pub usb: Option<(u16, u16)>,
    /// Name of the driver; empty for unknown.
    pub driver: String,
}

/// The nodes of this machine, by their number.
pub fn devices() -> Vec<Found> {
    devices_below(Path::new("/sys/class/video4linux"), Path::new("/dev"))
}

/// The same below other folders.
pub fn devices_below(sys: &Path, dev: &Path) -> Vec<Found> {
    let Ok(entries) = fs::read_dir(sys) else { return Vec::new() };
    let mut found: Vec<(u32, Found)> = entries
        .take(MOST)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let node = entry.file_name().into_string().ok()?;
            let number = node.strip_prefix("video")?.parse().ok()?;
            let at = entry.path();
            // The interface of a USB device; the device itself is above it.
            let parent = at.join("device");
            let id = |name: &str| {
                let text = read(&parent.join("..").join(name))?;
                u16::from_str_radix(&text, 16).ok()
            };
            let driver = fs::read_link(parent.join("driver")).ok();
            let driver = driver.and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
            let found = Found {
                path: dev.join(&node),
                name: read(&at.join("name")).unwrap_or_default(),
                index: read(&at.join("index")).and_then(|text| text.parse().ok()).unwrap_or_default(),
                usb: id("idVendor").zip(id("idProduct")),
                driver: driver.unwrap_or_default(),
            };
            Some((number, found))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, found)| found).collect()
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (text.len() <= MOST_TEXT).then(|| text.chars().filter(|c| !c.is_control()).collect())
}

/// Opens the device that `choice` names: `auto` for the only one there is, a path below `/dev`,
/// `usb:VVVV:PPPP`, `bus:BUS` or `card:NAME`.
///
/// # Errors
/// [`CaptureError::Gone`] when there is none; [`CaptureError::Unsupported`] when `auto` finds more than
/// one; else why it cannot be opened.
pub fn open(choice: &str) -> Result<Device, CaptureError> {
    if choice.starts_with('/') {
        return Device::open(Path::new(choice));
    }
    let first_nodes = devices().into_iter().filter(|found| found.index == 0);
    let wanted = |found: &Found, device: &Device| match choice.split_once(':') {
        Some(("usb", ids)) => found.usb.is_some_and(|(vendor, product)| {
            format!("{vendor:04x}:{product:04x}") == ids.to_ascii_lowercase()
        }),
        Some(("bus", bus)) => device.capabilities().bus == bus,
        Some(("card", card)) => device.capabilities().card == card,
        _ => true,
    };
    let mut refused = None;
    let mut open = Vec::new();
    for found in first_nodes {
        match Device::open(&found.path) {
            Ok(device) if wanted(&found, &device) => open.push(device),
            // Another kind of node: an output, a codec.
            Ok(_) | Err(CaptureError::Unsupported(_)) => {}
            Err(error) => refused = Some(error),
        }
    }
    if choice == "auto" && open.len() > 1 {
        return Err(CaptureError::Unsupported("there is more than one: say which (capture.*.device)"));
    }
    let first = open.into_iter().next();
    first.ok_or(refused.unwrap_or(CaptureError::Gone))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nodes_are_found_with_what_they_are() {
        let root = tempfile::tempdir().unwrap();
        let usb = root.path().join("devices/usb1/1-2");
        let interface = usb.join("1-2:1.0");
        let node = interface.join("video4linux/video3");
        fs::create_dir_all(&node).unwrap();
        fs::create_dir_all(root.path().join("drivers/uvcvideo")).unwrap();
        fs::write(usb.join("idVendor"), "0fd9\n").unwrap();
        fs::write(usb.join("idProduct"), "0066\n").unwrap();
        fs::write(node.join("name"), "Cam Link 4K: Cam Link 4K\n").unwrap();
        fs::write(node.join("index"), "0\n").unwrap();
        symlink(&interface, node.join("device")).unwrap();
        symlink(root.path().join("drivers/uvcvideo"), interface.join("driver")).unwrap();
        let class = root.path().join("class");
        fs::create_dir_all(&class).unwrap();
        symlink(&node, class.join("video3")).unwrap();
        symlink(&node, class.join("vbi3")).unwrap();

        let found = devices_below(&class, Path::new("/dev"));
        let wanted = Found {
            path: PathBuf::from("/dev/video3"),
            name: "Cam Link 4K: Cam Link 4K".to_owned(),
            index: 0,
            usb: Some((0x0fd9, 0x0066)),
            driver: "uvcvideo".to_owned(),
        };
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn without_sysfs_there_is_nothing() {
        assert!(devices_below(Path::new("/no/such/folder"), Path::new("/dev")).is_empty());
    }
}
