//! Files made by hand: one that is right, and every way to be wrong.

use super::*;

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [string(key), kind.to_le_bytes().to_vec(), value.to_vec()].concat()
}

fn tensor(name: &str, sizes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes_bytes: Vec<u8> = sizes.iter().flat_map(|n| n.to_le_bytes()).collect();
    let count = (sizes.len() as u32).to_le_bytes();
    [&string(name), &count[..], &sizes_bytes, &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
}

/// A file of entries and tensors with `data` bytes behind the padding.
fn file(entries: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend(entries.concat());
    bytes.extend(tensors.concat());
    bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    bytes
}

fn good() -> Vec<u8> {
    let array =
        |kind: u32, count: u64, data: &[u8]| [&kind.to_le_bytes()[..], &count.to_le_bytes(), data].concat();
    let nested = array(9, 1, &array(1, 2, &[255, 3]));
    let entries = [
        entry("u8", 0, &[200]),
        entry("i8", 1, &[200]),
        entry("u16", 2, &40_000u16.to_le_bytes()),
        entry("i16", 3, &(-2i16).to_le_bytes()),
        entry("u32", 4, &7u32.to_le_bytes()),
        entry("i32", 5, &(-7i32).to_le_bytes()),
        entry("f32", 6, &1.5f32.to_le_bytes()),
        entry("bool", 7, &[1]),
        entry("text", 8, &string("größe")),
        entry("texts", 9, &array(8, 2, &[string("a"), string("")].concat())),
        entry("nested", 9, &nested),
        entry("u64", 10, &u64::MAX.to_le_bytes()),
        entry("i64", 11, &(-1i64).to_le_bytes()),
        entry("f64", 12, &2.5f64.to_le_bytes()),
    ];
    file(&entries, &[tensor("a", &[32, 3], 8, 0), tensor("b", &[5], 0, 128)], 148)
}

#[test]
fn all_types_are_read() {
    let bytes = good();
    let header = parse_header(&bytes).expect("a good file");
    let get = |key| header.get(key).expect(key);
    assert_eq!(get("u8"), &GgufValue::U8(200));
    assert_eq!(get("i8"), &GgufValue::I8(-56));
    assert_eq!((get("u16").as_u64(), get("i16").as_u64()), (Some(40_000), None));
    assert_eq!((get("u32").as_u64(), get("i32")), (Some(7), &GgufValue::I32(-7)));
    assert_eq!((get("f32").as_f64(), get("f64").as_f64()), (Some(1.5), Some(2.5)));
    assert_eq!((get("bool").as_bool(), get("text").as_str()), (Some(true), Some("größe")));
    assert_eq!(get("texts").as_strings(), Some(&["a".to_string(), String::new()][..]));
    assert_eq!(get("nested"), &GgufValue::Array(GgufArray::Array(vec![GgufArray::I8(vec![-1, 3])])));
    assert_eq!((get("u64").as_u64(), get("i64").as_u64()), (Some(u64::MAX), None));
    let a = header.tensor("a").expect("a");
    assert_eq!((a.shape.as_slice(), a.format, a.length), (&[3, 32][..], BlockFormat::Q8_0, 102));
    let b = header.tensor("b").expect("b");
    assert_eq!((b.start - a.start, b.length, b.start + b.length), (128, 20, bytes.len()));
    assert_eq!(header.metadata().count(), 14);
}

#[test]
fn every_cut_is_an_error() {
    let bytes = good();
    for length in 0..bytes.len() {
        assert!(parse_header(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}

/// Any changed byte gives a header or an error.
#[test]
fn changed_bytes_never_panic() {
    let bytes = good();
    for at in 0..bytes.len() {
        for value in [0, 1, 8, 9, 127, 255] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = parse_header(&changed);
        }
    }
}

fn fault(bytes: &[u8]) -> (String, u64, GgufFault) {
    let error = parse_header(bytes).expect_err("a fault");
    (error.item, error.offset, error.fault)
}

#[test]
fn faults_name_the_item_and_the_offset() {
    let with = |entry: Vec<u8>| fault(&file(&[entry], &[], 0));
    let only = |tensor: Vec<u8>| fault(&file(&[], &[tensor], 4096));
    assert_eq!(fault(b"nothing").2, GgufFault::Magic);
    assert_eq!(fault(b"GGUF\0\0\0\x03").2, GgufFault::BigEndian);
    assert_eq!(fault(b"GGUF\x01\0\0\0"), ("header".into(), 4, GgufFault::Version(1)));
    let mut lying = file(&[], &[], 64);
    lying[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    let (item, offset, found) = fault(&lying);
    assert_eq!((item.as_str(), offset), ("count of metadata entries", 16));
    assert!(matches!(found, GgufFault::Count { count: u64::MAX, .. }), "{found}");
    let (item, offset, found) = with(entry("k", 8, &(1u64 << 40).to_le_bytes()));
    assert_eq!((item.as_str(), offset), ("key `k`", 37));
    assert!(matches!(found, GgufFault::Count { .. }), "{found}");
    assert_eq!(with(entry("k", 13, &[])).2, GgufFault::ValueType(13));
    assert_eq!(with(entry("k", 7, &[2])), ("key `k`".into(), 37, GgufFault::Bool(2)));
    assert_eq!(with(entry("k", 8, &[2, 0, 0, 0, 0, 0, 0, 0, 255, 254])).2, GgufFault::Utf8);
    let huge = [&4u32.to_le_bytes()[..], &(u64::MAX / 2).to_le_bytes()].concat();
    assert!(matches!(with(entry("k", 9, &huge)).2, GgufFault::Count { .. }));
    let deep = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat().repeat(9);
    assert_eq!(with(entry("k", 9, &deep)).2, GgufFault::Nesting(NESTING));
    let twice = [entry("k", 0, &[1]), entry("k", 0, &[1])];
    assert_eq!(fault(&file(&twice, &[], 0)), ("key `k`".into(), 38, GgufFault::Duplicate));
    assert_eq!(with(entry("general.alignment", 4, &24u32.to_le_bytes())).2, GgufFault::Alignment(24));
    assert_eq!(only(tensor("t", &[1; 5], 0, 0)).2, GgufFault::Dimensions(5));
    assert_eq!(only(tensor("t", &[], 0, 0)).2, GgufFault::Dimensions(0));
    for sizes in [vec![0, 4], vec![1 << 40, 1 << 40], vec![u64::MAX]] {
        assert_eq!(only(tensor("t", &sizes, 0, 0)).2, GgufFault::Shape(sizes.clone()));
    }
    assert_eq!(only(tensor("t", &[33], 8, 0)).2, GgufFault::PartialBlock { row: 33, block: 32 });
    assert_eq!(only(tensor("t", &[32], 10, 0)).2, GgufFault::BlockFormat("Q2_K (type 10)".into()));
    assert_eq!(only(tensor("t", &[4], 0, 8)).2, GgufFault::Misaligned { offset: 8, alignment: 32 });
    let (item, offset, found) = only(tensor("t", &[4], 0, u64::MAX - 31));
    assert_eq!((item.as_str(), offset), ("tensor `t`", 24));
    assert!(matches!(found, GgufFault::OutsideFile { .. }), "{found}");
    let both = [tensor("t", &[9], 0, 0), tensor("u", &[4], 0, 32)];
    assert_eq!(fault(&file(&[], &both, 64)).2, GgufFault::Overlap("t".into()));
    let same = [tensor("t", &[4], 0, 0), tensor("t", &[4], 0, 32)];
    assert_eq!(fault(&file(&[], &same, 64)).2, GgufFault::Duplicate);
}
