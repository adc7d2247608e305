//! Values and types as text: moments as RFC 3339, bytes in hexadecimal, lists and structs as JSON.

use std::fmt::{self, Write};

use jiff::Timestamp;
use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::Decimal;
use parquet::record::Field;
use parquet::schema::types::Type;

/// Most bytes of a value that are shown in hexadecimal.
const HEX: usize = 32;
/// Longest decimal number that is written out, in bytes and in digits after its point.
const DECIMAL: (usize, i32) = (32, 100);

/// A value of a column of this type, with at most `most` characters.
pub(super) fn text(field: &Field, of: &Type, most: usize) -> String {
    let mut to = Cut { text: String::new(), left: most };
    // An error only says that the cell is full.
    let _ = match (field, timestamp(of)) {
        (Field::Long(value), Some((TimeUnit::NANOS, is_utc))) => to.write_str(&moment(i128::from(*value), is_utc)),
        (Field::TimestampMillis(value), Some((_, is_utc))) => to.write_str(&moment(milliseconds(*value), is_utc)),
        (Field::TimestampMicros(value), Some((_, is_utc))) => to.write_str(&moment(microseconds(*value), is_utc)),
        _ => match words(field, most) {
            Some(words) => to.write_str(&words),
            None => json(&mut to, field),
        },
    };
    to.text
}

/// The unit of moments, and whether they are in UTC.
fn timestamp(of: &Type) -> Option<(TimeUnit, bool)> {
    match of.get_basic_info().logical_type_ref() {
        Some(LogicalType::Timestamp(kind)) => Some((kind.unit, kind.is_adjusted_to_u_t_c)),
        _ => None,
    }
}

/// Text that ends with a sign where it is full.
struct Cut {
    text: String,
    left: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some((end, _)) = text.char_indices().nth(self.left) {
            self.text.push_str(&text[..end]);
            self.text.push('…');
            self.left = 0;
            return Err(fmt::Error);
        }
        self.left -= text.chars().count();
        self.text.push_str(text);
        Ok(())
    }
}

/// A value that JSON writes in quotes, without them.
fn words(field: &Field, most: usize) -> Option<String> {
    Some(match field {
        Field::Str(text) => text.chars().take(most.saturating_add(1)).collect(),
        Field::Bytes(bytes) => hex(bytes.data()),
        Field::Decimal(number) => decimal(number),
        Field::Date(days) => part(i128::from(*days) * 86_400_000_000_000, |day, _| day),
        Field::TimeMillis(time) => part(milliseconds(i64::from(*time)), |_, time| time),
        Field::TimeMicros(time) => part(microseconds(*time), |_, time| time),
        Field::TimestampMillis(time) => moment(milliseconds(*time), true),
        Field::TimestampMicros(time) => moment(microseconds(*time), true),
        _ => return None,
    })
}

fn json(to: &mut Cut, field: &Field) -> fmt::Result {
    if let Some(words) = words(field, to.left) {
        return quoted(to, &words);
    }
    match field {
        Field::Group(row) => object(to, row.get_column_iter().map(|(name, field)| (name.clone(), field))),
        Field::MapInternal(map) => {
            let most = to.left;
            object(to, map.entries().iter().map(|(key, field)| (key_words(key, most), field)))
        }
        Field::ListInternal(list) => {
            to.write_char('[')?;
            for (number, field) in list.elements().iter().enumerate() {
                to.write_str(if number == 0 { "" } else { ", " })?;
                json(to, field)?;
            }
            to.write_char(']')
        }
        Field::Float16(number) => write!(to, "{:?}", f32::from(*number)),
        Field::Float(number) => write!(to, "{number:?}"),
        Field::Double(number) => write!(to, "{number:?}"),
        // Truth values, whole numbers, and nothing.
        other => write!(to, "{other}"),
    }
}

fn key_words(key: &Field, most: usize) -> String {
    words(key, most).unwrap_or_else(|| {
        let mut to = Cut { text: String::new(), left: most };
        let _ = json(&mut to, key);
        to.text
    })
}

fn object<'f>(to: &mut Cut, fields: impl Iterator<Item = (String, &'f Field)>) -> fmt::Result {
    to.write_char('{')?;
    for (number, (name, field)) in fields.enumerate() {
        to.write_str(if number == 0 { "" } else { ", " })?;
        quoted(to, &name)?;
        to.write_str(": ")?;
        json(to, field)?;
    }
    to.write_char('}')
}

fn quoted(to: &mut Cut, text: &str) -> fmt::Result {
    to.write_str(&serde_json::Value::from(text).to_string())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = "0x".to_owned();
    for byte in bytes.iter().take(HEX) {
        text += &format!("{byte:02x}");
    }
    if bytes.len() > HEX {
        text += &format!("… ({} bytes)", bytes.len());
    }
    text
}

fn decimal(number: &Decimal) -> String {
    let (bytes, scale) = DECIMAL;
    if number.data().len() > bytes || number.scale() > scale {
        return hex(number.data());
    }
    Field::Decimal(number.clone()).to_string()
}

fn milliseconds(value: i64) -> i128 {
    i128::from(value) * 1_000_000
}

fn microseconds(value: i64) -> i128 {
    i128::from(value) * 1000
}

/// A moment, from nanoseconds after 1970; without a zone if it is local.
fn moment(nanoseconds: i128, is_utc: bool) -> String {
    match Timestamp::from_nanosecond(nanoseconds) {
        Ok(moment) if is_utc => moment.to_string(),
        Ok(moment) => moment.to_string().trim_end_matches('Z').to_owned(),
        Err(_) => format!("{nanoseconds} ns after 1970"),
    }
}

/// The day or the time of a moment.
fn part(nanoseconds: i128, of: impl FnOnce(String, String) -> String) -> String {
    let moment = moment(nanoseconds, false);
    match moment.split_once('T') {
        Some((day, time)) => of(day.to_owned(), time.to_owned()),
        None => moment,
    }
}

/// The type of a column in a few words.
pub(super) fn type_words(of: &Type) -> String {
    let info = of.get_basic_info();
    let words = match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Integer(kind)), _) => {
            format!("{}int{}", if kind.is_signed { "" } else { "u" }, kind.bit_width)
        }
        (Some(LogicalType::Decimal(kind)), _) => format!("decimal({}, {})", kind.precision, kind.scale),
        (Some(LogicalType::Timestamp(kind)), _) if kind.is_adjusted_to_u_t_c => "timestamp".to_owned(),
        (Some(LogicalType::Timestamp(_)), _) => "local timestamp".to_owned(),
        (Some(LogicalType::Time(_)), _) => "time".to_owned(),
        (Some(LogicalType::Uuid), _) => "uuid".to_owned(),
        (Some(LogicalType::Float16), _) => "float16".to_owned(),
        (_, ConvertedType::UTF8) => "text".to_owned(),
        (_, ConvertedType::NONE) => plain_words(of),
        (_, converted) => converted.to_string().to_lowercase().replace('_', " "),
    };
    if info.has_repetition() && info.repetition() == Repetition::REPEATED { format!("list of {words}") } else { words }
}

fn plain_words(of: &Type) -> String {
    if of.is_group() {
        return "struct".to_owned();
    }
    match of.get_physical_type() {
        Physical::BOOLEAN => "boolean",
        Physical::INT32 => "int32",
        Physical::INT64 => "int64",
        Physical::INT96 => "timestamp",
        Physical::FLOAT => "float",
        Physical::DOUBLE => "double",
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => "bytes",
    }
    .to_owned()
}
