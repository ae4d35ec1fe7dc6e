//! Who this box is: its id, its host name, and the certificate that it shows.
//!
//! A box makes its identity once, at its first boot ([`create`]): a directory that holds everything but the private
//! key, which goes to a file in memory, for systemd to encrypt. The certificate is self-signed at first. To replace it,
//! the hospital signs the request that lies beside it, or one with other names ([`request`]), and [`import`] takes
//! the answer, whatever the order of its certificates, if it belongs to our key and clients will take it. The service
//! notices the new file by itself. [`Identity`] is what there is now.
//!
//! | file | what |
//! |---|---|
//! | `device-id` | 12 lower-case hexadecimal digits, chosen at random |
//! | `hostname` | `framegate-` and the last 6 of them, unless it was told otherwise |
//! | `server.pem` | the certificate chain, leaf first |
//! | `server.pem.previous` | the one before |
//! | `server.csr` | a request for a certificate with the same key (PKCS #10, RFC 2986) |

mod certificate;
mod chain;
mod create;
mod error;
mod files;
mod import;
mod request;
mod show;
#[cfg(test)]
mod testing;

pub use self::certificate::Certificate;
pub use self::chain::{Chain, Note};
pub use self::create::create;
pub use self::error::{ChainError, IdentityError};
pub use self::import::{Imported, import};
pub use self::request::request;
pub use self::show::Identity;

/// Where the identity of an appliance is.
pub const DIRECTORY: &str = "/etc/framegate/identity";

const DEVICE_ID: &str = "device-id";
const HOSTNAME: &str = "hostname";
const CERTIFICATE: &str = "server.pem";
const PREVIOUS: &str = "server.pem.previous";
const REQUEST: &str = "server.csr";
