#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ziggurat_provider::fuzzing::multipart(bytes));
