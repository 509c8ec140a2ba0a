//! How the released executable is linked, which is most of what it takes in memory when idle.

#![expect(
    clippy::disallowed_methods,
    reason = "variables are how cargo tells a build script anything"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=order.ld");
    println!("cargo:rerun-if-changed=build.rs");
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // The linkers of other systems know nothing of all this.
    if !set("CARGO_CFG_TARGET_OS", "linux") || !set("PROFILE", "release") {
        return;
    }
    // The code that runs in every gateway lies side by side (`benches/order` tells why and writes the list). Linked by
    // a copy: cargo knows where this folder is also after the checkout was moved, and keeps what is said here.
    let list = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("order.ld");
    if let Err(error) = fs::copy("order.ld", &list) {
        println!(
            "cargo:warning=order.ld can't be copied to {}: {error}",
            list.display()
        );
        return;
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", list.display());

    let native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if native && set("CARGO_CFG_TARGET_ENV", "gnu") && glibc().is_some_and(|version| version >= (2, 36)) {
        // The addresses that are adjusted at the start, which is 0.9 MiB resident as a table and next to nothing as a
        // bitmap. Older systems can't start such a program.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library here.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
