//! `cyborg-kms slots`.

use cyborg_kms::registry::{CAN_DECRYPT, CAN_DERIVE, CAN_ENCRYPT, CAN_EXPORT, Slot};
use serde_json::{Value, json};

use crate::arguments::Common;
use crate::failure::Outcome;
use crate::output::{field, show, table};
use crate::session::Settings;

/// The slots of the configuration. Neither a KMS nor the store is asked.
pub fn slots(common: &Common) -> Outcome {
    let settings = Settings::read(common)?;
    let slots: Vec<Value> = settings.config.slots.values().map(|slot| describe(slot)).collect();
    let mut rows = vec![["SLOT", "PROVIDER", "REGION", "KEY", "ALLOWS"].map(str::to_owned).to_vec()];
    rows.extend(slots.iter().map(row));
    let text =
        if slots.is_empty() { format!("no slots in {}\n", settings.path.display()) } else { table(&rows) };
    let json = json!({"config": settings.path.to_string_lossy(), "slots": slots});
    show(common.json, &json, &text)
}

/// What is no secret of a slot: addresses may carry a password.
fn describe(slot: &Slot) -> Value {
    json!({
        "name": slot.name,
        "provider": slot.provider.as_str(),
        "key_id": slot.key_id,
        "former_key_ids": slot.former_key_ids,
        "region": slot.region,
        "capabilities": capabilities(slot.capabilities),
        "cyborgdb_compatible": slot.cyborgdb_compatible,
        "recipients": slot.recipients,
    })
}

fn row(slot: &Value) -> Vec<String> {
    let texts: Vec<&str> =
        slot["capabilities"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut row: Vec<String> =
        ["name", "provider", "region", "key_id"].iter().map(|name| field(slot, name)).collect();
    row.push(texts.join(" "));
    row
}

fn capabilities(of: u32) -> Vec<&'static str> {
    let all =
        [(CAN_ENCRYPT, "encrypt"), (CAN_DECRYPT, "decrypt"), (CAN_DERIVE, "derive"), (CAN_EXPORT, "export")];
    all.into_iter().filter(|(bit, _)| of & bit != 0).map(|(_, name)| name).collect()
}
