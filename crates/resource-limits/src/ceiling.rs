//! The caller's own hard limits, which no process below can raise.
//!
//! The one place of this crate that asks the kernel about the calling process. One system call,
//! no file.

use std::io;

use nix::sys::resource::{Resource as NixResource, getrlimit};

use crate::Resource;

/// The kernel would not say what limit holds.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the limit on {resource:?} of this process")]
#[non_exhaustive]
pub struct CeilingError {
    /// The resource asked for.
    pub resource: Resource,
    /// What the kernel answered.
    #[source]
    pub source: io::Error,
}

/// The hard limit that already holds for the calling process, in the unit of the resource;
/// `u64::MAX` when there is none.
///
/// # Errors
///
/// [`CeilingError`] when the kernel refuses `getrlimit(2)`, as a seccomp filter around the caller
/// might.
///
/// # References
///
/// `getrlimit(2)`.
pub fn hard_ceiling(resource: Resource) -> Result<u64, CeilingError> {
    getrlimit(kernel_name(resource))
        .map(|(_soft, hard)| hard)
        .map_err(|errno| CeilingError { resource, source: errno.into() })
}

fn kernel_name(resource: Resource) -> NixResource {
    match resource {
        Resource::CpuTime => NixResource::RLIMIT_CPU,
        Resource::FileSize => NixResource::RLIMIT_FSIZE,
        Resource::Core => NixResource::RLIMIT_CORE,
        Resource::Processes => NixResource::RLIMIT_NPROC,
        Resource::OpenFiles => NixResource::RLIMIT_NOFILE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_ceiling_and_the_kernels_number() {
        for resource in [
            Resource::CpuTime,
            Resource::FileSize,
            Resource::Core,
            Resource::Processes,
            Resource::OpenFiles,
        ] {
            assert_eq!(kernel_name(resource) as u32, resource.raw(), "{resource:?}");
            hard_ceiling(resource).expect("because getrlimit is open to everybody");
        }
    }
}
