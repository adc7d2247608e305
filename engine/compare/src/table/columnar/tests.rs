//! Files that the library itself writes, whole and damaged.

use std::io::Cursor;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::super::page::{TablePage, rows};
use crate::content::Side;
use crate::limits::Limits;

type Group<'w> = SerializedRowGroupWriter<'w, Vec<u8>>;

fn column<T: DataType>(group: &mut Group<'_>, values: &[T::T], levels: Option<&[i16]>, repeats: Option<&[i16]>) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, levels, repeats).unwrap();
    column.close().unwrap();
}

/// A file in which `fill` writes the columns of each group.
fn file(schema: &str, properties: WriterProperties, groups: usize, fill: impl Fn(usize, &mut Group<'_>)) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for number in 0..groups {
        let mut group = writer.next_row_group().unwrap();
        fill(number, &mut group);
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn read(bytes: &[u8], from: Option<u64>, take: usize, limits: &Limits) -> Result<TablePage, String> {
    let mut content = Cursor::new(bytes);
    let side = Side { name: "t.parquet", size_bytes: bytes.len() as u64, content: &mut content, pieces: Vec::new() };
    rows(side, (from, take), limits).unwrap()
}

fn refused(bytes: &[u8], limits: &Limits) -> String {
    read(bytes, None, 2, limits).unwrap_err()
}

fn texts(texts: &[&str]) -> Vec<ByteArray> {
    texts.iter().map(|text| ByteArray::from(*text)).collect()
}

const TYPES: &str = "message t {
    required int64 id;
    optional binary name (UTF8);
    optional double score;
    required boolean flag;
    required int64 at (TIMESTAMP(MILLIS,true));
    required int64 exact (TIMESTAMP(NANOS,false));
    required int32 price (DECIMAL(9,2));
    required binary raw;
    optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
    required group place { required int32 x; optional int32 y; }
}";

/// Two groups of a row each, with a value of each type, and without the values that may be absent.
fn typed() -> Vec<u8> {
    file(TYPES, WriterProperties::default(), 2, |number, group| {
        let is_first = number == 0;
        let (names, level): (&[&str], _) = if is_first { (&["ä \"b\""], [1]) } else { (&[], [0]) };
        column::<Int64Type>(group, &[if is_first { 1 } else { i64::MAX }], None, None);
        column::<ByteArrayType>(group, &texts(names), Some(&level), None);
        column::<DoubleType>(group, if is_first { &[0.5] } else { &[] }, Some(&level), None);
        column::<BoolType>(group, &[is_first], None, None);
        column::<Int64Type>(group, &[if is_first { 0 } else { 1500 }], None, None);
        column::<Int64Type>(group, &[if is_first { 1 } else { -1 }], None, None);
        column::<Int32Type>(group, &[if is_first { 1234 } else { -5 }], None, None);
        let raw = if is_first { vec![0, 255] } else { vec![7; 40] };
        column::<ByteArrayType>(group, &[ByteArray::from(raw)], None, None);
        if is_first {
            column::<ByteArrayType>(group, &texts(&["a\"<b>"]), Some(&[3, 2]), Some(&[0, 1]));
        } else {
            column::<ByteArrayType>(group, &[], Some(&[0]), Some(&[0]));
        }
        column::<Int32Type>(group, &[3], None, None);
        column::<Int32Type>(group, if is_first { &[4] } else { &[] }, Some(&level), None);
    })
}

#[test]
fn values_of_each_type_are_text_and_absent_ones_null() {
    let page = read(&typed(), None, 10, &Limits::default()).unwrap();
    assert_eq!(page.header, ["id", "name", "score", "flag", "at", "exact", "price", "raw", "tags", "place"]);
    let types = [
        "int64",
        "text",
        "double",
        "boolean",
        "timestamp",
        "local timestamp",
        "decimal(9, 2)",
        "bytes",
        "list",
        "struct",
    ];
    assert_eq!(page.types, types);
    assert_eq!((page.count, page.next), (Some(2), None));
    let first = [
        "1",
        "ä \"b\"",
        "0.5",
        "true",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000000001",
        "12.34",
        "0x00ff",
        r#"["a\"<b>", null]"#,
        r#"{"x": 3, "y": 4}"#,
    ];
    assert_eq!(page.rows[0], first);
    let raw = format!("0x{}… (40 bytes)", "07".repeat(32));
    let second = [
        "9223372036854775807",
        "null",
        "null",
        "false",
        "1970-01-01T00:00:01.5Z",
        "1969-12-31T23:59:59.999999999",
        "-0.05",
        &raw,
        "null",
        r#"{"x": 3, "y": null}"#,
    ];
    assert_eq!(page.rows[1], second);
    let short = read(&typed(), None, 1, &Limits { shown_characters: 4, ..Limits::default() }).unwrap();
    assert_eq!((short.rows[0][1].as_str(), short.rows[0][8].as_str()), ("ä \"b…", r#"["a\…"#));
    assert_eq!(short.next, Some(1));
}

const NUMBERED: &str = "message t { required int64 id; optional binary word (UTF8); repeated int32 many; }";

/// Three groups of 100 rows in small pages.
fn numbered(properties: WriterPropertiesBuilder) -> Vec<u8> {
    let properties = properties.set_data_page_row_count_limit(10).set_write_batch_size(10).build();
    file(NUMBERED, properties, 3, |number, group| {
        let first = 100 * i64::try_from(number).unwrap();
        let ids: Vec<i64> = (first..first + 100).collect();
        column::<Int64Type>(group, &ids, None, None);
        let levels: Vec<i16> = ids.iter().map(|id| i16::from(id % 3 != 0)).collect();
        let words: Vec<ByteArray> =
            ids.iter().filter(|id| *id % 3 != 0).map(|id| ByteArray::from(format!("w{}", id % 7).as_str())).collect();
        column::<ByteArrayType>(group, &words, Some(&levels), None);
        // Two values a row.
        let many: Vec<i32> = ids.iter().flat_map(|id| [*id as i32, -1]).collect();
        let repeats: Vec<i16> = ids.iter().flat_map(|_| [0, 1]).collect();
        column::<Int32Type>(group, &many, Some(&[1; 200]), Some(&repeats));
    })
}

#[test]
fn pages_follow_one_another_whatever_the_file_is_packed_with() {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ];
    for codec in codecs {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let bytes = numbered(WriterProperties::builder().set_compression(codec).set_writer_version(version));
            let (mut from, mut seen) = (None, 0_i64);
            loop {
                let page = read(&bytes, from, 35, &Limits::default()).unwrap();
                assert_eq!(page.count, Some(300));
                for row in &page.rows {
                    let word = if seen % 3 == 0 { "null".to_owned() } else { format!("w{}", seen % 7) };
                    assert_eq!(*row, [seen.to_string(), word, format!("[{seen}, -1]")], "{codec:?} {version:?}");
                    seen += 1;
                }
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(seen, 300, "{codec:?} {version:?}");
        }
    }
    let beyond = read(&numbered(WriterProperties::builder()), Some(u64::MAX), 35, &Limits::default()).unwrap();
    assert_eq!((beyond.rows.len(), beyond.next), (0, None));
}

/// A file of one column of 100 numbers in one page.
fn plain(codec: Compression) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(codec).set_dictionary_enabled(false).build();
    let numbers: Vec<i64> = (0..100).collect();
    file("message t { required int64 id; }", properties, 1, |_, group| column::<Int64Type>(group, &numbers, None, None))
}

/// Where the first page says how large it is when unpacked: two bytes after the file's mark, the page's type and the field's own byte.
const CLAIM: std::ops::Range<usize> = 7..9;

#[test]
fn a_file_that_is_cut_or_lies_about_its_footer_is_refused() {
    let (bytes, limits) = (typed(), Limits::default());
    assert!(read(&bytes, None, 2, &limits).is_ok());
    for length in [4, 11, 12, bytes.len() - 1, bytes.len() - 300] {
        assert!(refused(&bytes[..length], &limits).contains("cut off"), "{length}");
    }
    let mut long = bytes.clone();
    let at = bytes.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(refused(&long, &limits).contains("longer than the file"));
    let mut short = bytes.clone();
    short[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    assert!(refused(&short, &limits).contains("malformed Parquet"));
    assert!(refused(&bytes, &Limits { header_bytes: 20, ..limits }).contains("more than 20 bytes"));
}

#[test]
fn a_page_that_says_to_be_huge_is_refused_before_it_is_unpacked() {
    let limits = Limits { inflated_bytes: 4096, ..Limits::default() };
    let mut bytes = plain(Compression::SNAPPY);
    assert_eq!(bytes[CLAIM], [0xc0, 0x0c], "800 bytes");
    assert_eq!(read(&bytes, None, 2, &limits).unwrap().rows, [["0"], ["1"]]);
    bytes[CLAIM].copy_from_slice(&[0xfe, 0x7f]);
    assert!(refused(&bytes, &limits).contains("more than 4096 bytes"), "{}", refused(&bytes, &limits));
    let mut packed = plain(Compression::GZIP(GzipLevel::default()));
    packed[CLAIM].copy_from_slice(&[0x80, 0x01]);
    assert!(refused(&packed, &Limits::default()).contains("more than it says"));
}

#[test]
fn a_long_text_that_many_values_name_is_weighed_as_often() {
    let schema = "message t { repeated binary word (UTF8); }";
    let bytes = file(schema, WriterProperties::default(), 1, |_, group| {
        let words = vec![ByteArray::from("x".repeat(1000).as_str()); 5000];
        let repeats: Vec<i16> = (0..5000).map(|at| i16::from(at > 0)).collect();
        column::<ByteArrayType>(group, &words, Some(&[1; 5000]), Some(&repeats));
    });
    assert!(bytes.len() < 20_000, "{}", bytes.len());
    assert!(refused(&bytes, &Limits { inflated_bytes: 1 << 20, ..Limits::default() }).starts_with("too much"));
    let page = read(&bytes, None, 1, &Limits { inflated_bytes: 64 << 20, ..Limits::default() }).unwrap();
    assert!(page.rows[0][0].starts_with("[\"xxx"), "{:?}", page.rows);
}

#[test]
fn a_schema_that_goes_deep_is_refused() {
    let depth = 200_000_u32;
    let count = [0x80 | (depth & 0x7f) as u8, 0x80 | ((depth >> 7) & 0x7f) as u8, (depth >> 14) as u8];
    let elements = [0x48, 1, b'a', 0x15, 2, 0].repeat(depth as usize);
    let footer = [&[0x15, 0x02, 0x19, 0xfc][..], &count, &elements, &[0]].concat();
    let bytes = [&b"PAR1"[..], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    assert!(refused(&bytes, &Limits::default()).contains("too deep"));
}

#[test]
fn what_pv_does_not_decode_is_named() {
    let schema = "message t { required binary word (UTF8); }";
    let properties =
        WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY).build();
    let bytes =
        file(schema, properties, 1, |_, group| column::<ByteArrayType>(group, &texts(&["a", "ab"]), None, None));
    assert!(refused(&bytes, &Limits::default()).contains("DELTA_BYTE_ARRAY"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_is_a_table_or_a_reason(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = typed();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let limits = Limits { inflated_bytes: 1 << 20, ..Limits::default() };
        let mut content = Cursor::new(&bytes);
        let side = Side { name: "t.parquet", size_bytes: bytes.len() as u64, content: &mut content, pieces: Vec::new() };
        match rows(side, (None, 5), &limits).unwrap() {
            Ok(page) => prop_assert!(page.rows.len() <= 5),
            Err(why) => prop_assert!(!why.is_empty()),
        }
    }
}
