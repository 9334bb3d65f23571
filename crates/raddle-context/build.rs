//! Tells the crate whether it is built for AddressSanitizer: cargo says so to build scripts, and `cfg(sanitize)`
//! itself is not stable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(raddle_asan)");
    let sanitizers = std::env::var("CARGO_CFG_SANITIZE").unwrap_or_default();
    if sanitizers.split(',').any(|one| one == "address") {
        println!("cargo::rustc-cfg=raddle_asan");
    }
}
