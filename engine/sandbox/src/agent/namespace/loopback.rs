//! Starts the loopback device of a new network namespace, with the single netlink message that this needs.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// `RTM_NEWLINK`: changes a device.
const NEW_LINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST_AND_ACK: u16 = 1 | 4;
/// `NLMSG_ERROR`: the type of the answer, even if the error is 0.
const ANSWER: u16 = 2;
/// `IFF_UP`: both the flag to set and the mask of flags to change.
const UP: u32 = 1;
/// Index of `lo`: the first device of every namespace.
const LOOPBACK: i32 = 1;

pub(super) fn bring_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &message(), SendFlags::empty())?;
    let mut answer = [0; 128];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    outcome(&answer[..length])
}

/// `struct nlmsghdr` and `struct ifinfomsg`, in the machine's byte order.
fn message() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend(32_u32.to_ne_bytes()); // length of all
    bytes.extend(NEW_LINK.to_ne_bytes());
    bytes.extend(REQUEST_AND_ACK.to_ne_bytes());
    bytes.extend([0; 8]); // number of this message, sender
    bytes.extend([0; 4]); // family, padding, kind of device
    bytes.extend(LOOPBACK.to_ne_bytes());
    bytes.extend(UP.to_ne_bytes());
    bytes.extend(UP.to_ne_bytes());
    bytes
}

/// Reads the error number, negative or 0, that follows the answer's header.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let field =
        |from: usize| answer.get(from..from + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match (kind, field(16)) {
        (Some(ANSWER), Some(0)) => Ok(()),
        (Some(ANSWER), Some(error)) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::Error::other("the kernel answered in an unknown way")),
    }
}
