//! Puts the code that runs in every gateway side by side (`benches/order` tells why and writes the list).

#![expect(
    clippy::disallowed_methods,
    reason = "variables are how cargo tells a build script anything"
)]

fn main() {
    println!("cargo:rerun-if-changed=order.ld");
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // The linkers of other systems have no such lists.
    if set("CARGO_CFG_TARGET_OS", "linux") && set("PROFILE", "release") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{folder}/order.ld");
    }
}
