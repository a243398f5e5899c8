//! Compiles `proto/*.proto` with a compiler written in Rust, so that a build needs no `protoc`.

fn main() {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/wire.proto"], ["proto"]).expect("proto/wire.proto is part of the source");
    tonic_prost_build::configure()
        .bytes(".")
        // No message gets a `Debug`: several carry entries, and none of it belongs in a log.
        .skip_debug(["."])
        .compile_fds(files)
        .expect("the compiled descriptors generate code into OUT_DIR");
}
