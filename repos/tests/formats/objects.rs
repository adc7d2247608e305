//! Objects: manifests, trees, packs.

use repos::hash::digest_of;
use repos::manifest::Manifest;
use repos::object::{Kind, PackClass};
use repos::packs::writer::PackWriter;
use repos::packs::{LocalPacks, PackStore};
use repos::tree::{FileEntry, MemoryNodes, Tree};

#[test]
fn a_manifest() {
    let manifest = Manifest { chunks: vec![(digest_of(b"a"), 1), (digest_of(b"bc"), 2)] };
    assert_eq!(
        digest_of(&manifest.encode()).to_string(),
        "eff723708c3ca27ffa4faaa861ec4ec539a8ab19a416b2a494082b97930e72b0"
    );
}

#[test]
fn a_tree() {
    let nodes = MemoryNodes::default();
    let files = (0..1000_u64).map(|number| {
        let bytes = number.to_string();
        let file = FileEntry { digest: digest_of(bytes.as_bytes()), size: number * 1000, executable: number % 7 == 0 };
        (format!("/{number:03}/file"), file)
    });
    assert_eq!(
        Tree::build(files, &mut &nodes).unwrap().root().to_string(),
        "f0e94080417f1fd3e97df848fa2f80e7143bab38d2c02fa4a2a296a5ceca42c8"
    );
}

#[test]
fn a_pack_is_named_by_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let packs = LocalPacks::new(folder.path().to_owned());
    let mut writer = PackWriter::new(PackClass::Data, u64::MAX);
    for bytes in [&b"first"[..], b"", b"third"] {
        writer.append(&packs, Kind::Chunk, digest_of(bytes), bytes).unwrap();
    }
    writer.append(&packs, Kind::Log, digest_of(b"said"), b"said").unwrap();
    let pack = writer.finish().unwrap().remove(0);
    assert_eq!(pack.name.to_string(), "ef8912fc5b63115ee11b62c3675727c8c2a17384df0588b22289bea3c77a5cd0.data.pack");
    assert_eq!(
        digest_of(&packs.read(&pack.name, 0..pack.length).unwrap()).to_string(),
        "427bb6ba2485b43f3428d58127b0cd223d14c4afe2fdccc3d336884135f2a390"
    );
}

#[test]
fn an_entry_of_a_zstd_frame_is_read() {
    let raw = b"some words, and some words, and some words again".repeat(20);
    let hex = "0101000000000030000003c02b49f603d0f0d6fdcd8bfdf4c407ca91b6f855c59c980b63c02f0b5ec6e7f68e\
        28b52ffd60c002150100b0736f6d6520776f7264732c20616e642020616761696e030083a7aa006cc5d87309c3f184b1";
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let (header, frame) = bytes.split_at(44);
    let row = repos::packs::format::Row::from_entry_header(header, 16).unwrap();
    assert_eq!((row.codec, row.raw_bytes as usize), (repos::packs::codec::ZSTD, raw.len()));
    assert_eq!(row.stored_range(), 60..60 + frame.len() as u64);
    assert_eq!(repos::packs::codec::unpack(&row, frame.to_vec().into()).unwrap(), raw);
}
