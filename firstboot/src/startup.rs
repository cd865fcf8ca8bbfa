//! What the program itself needs from the machine, looked at before anything else.
//!
//! On 2.6.32 the standard library takes its hash keys from `/dev/urandom` and closed standard streams from `/dev/null`;
//! without them it would end in a panic that names neither.

use anyhow::Result;

use crate::outcome::Class;

const NEEDED: [(&str, &str); 3] = [
    ("/proc/self", "mount it with `mount -t proc proc /proc`"),
    ("/dev/null", "make it with `mknod -m 666 /dev/null c 1 3`"),
    ("/dev/urandom", "make it with `mknod -m 444 /dev/urandom c 1 9`"),
];

/// Is everything there that the program needs?
pub fn check() -> Result<()> {
    for (path, way_out) in NEEDED {
        if !std::path::Path::new(path).exists() {
            return Err(
                Class::Failed.error(format!("{path} is missing and cias-firstboot needs it: {way_out}"))
            );
        }
    }
    Ok(())
}
