//! Frames of AWS's event streams.

/// A frame with these headers.
///
/// # Panics
///
/// If a name has more than 255 bytes or a value more than 65,535.
#[must_use]
pub fn event_frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).expect("is short"));
        head.extend(name.as_bytes());
        head.push(7);
        head.extend(u16::try_from(value.len()).expect("is short").to_be_bytes());
        head.extend(value.as_bytes());
    }
    let length = |length: usize| u32::try_from(length).expect("is short").to_be_bytes();
    let mut frame = length(16 + head.len() + payload.len()).to_vec();
    frame.extend(length(head.len()));
    frame.extend(checksum(&frame).to_be_bytes());
    frame.extend(head);
    frame.extend(payload);
    frame.extend(checksum(&frame).to_be_bytes());
    frame
}

/// CRC-32.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}
