//! Ids of kept objects in events.

use bytes::Bytes;
use ziggurat_core::{DeploymentId, ObjectId};

/// An event in which the ids of what a deployment keeps are ours; `None` if it holds none. One whose
/// data is in several lines stays as it is: nobody writes JSON so.
pub(crate) fn event(deployment: &DeploymentId, event: &[u8]) -> Option<Bytes> {
    let (start, data) = data(event)?;
    let minted = ObjectId::mint(deployment, data)?;
    let end = start + data.len();
    Some([&event[..start], &minted, &event[end..]].concat().into())
}

/// Where the one line of data stands, and what it holds.
fn data(event: &[u8]) -> Option<(usize, &[u8])> {
    let mut found = None;
    let mut at = 0;
    for line in event.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        if let Some(data) = line.strip_prefix(b"data:") {
            let before = found.replace((at + line.len() - data.len(), data.trim_ascii_end()));
            if before.is_some() {
                return None;
            }
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_an_event_is_changed_and_nothing_around_it() {
        let id = ObjectId::new(&"east".into(), "resp_1")
            .expect("is one")
            .to_string();
        for (before, after) in [
            ("event: x\r\ndata: ", " \r\n\r\n"),
            ("data:", "\n\n"),
            (": c\ndata: ", "\nid: 7\n\n"),
        ] {
            let text = |id: &str| format!(r#"{before}{{"response":{{"id":"{id}"}}}}{after}"#);
            let minted = event(&"east".into(), text("resp_1").as_bytes());
            assert_eq!(minted.as_deref(), Some(text(&id).as_bytes()));
        }
        for other in [
            "",
            "data: [DONE]\n\n",
            "data: {\"id\":\ndata: \"resp_1\"}\n\n",
            ": resp_1\n\n",
        ] {
            assert_eq!(event(&"east".into(), other.as_bytes()), None);
        }
    }
}
