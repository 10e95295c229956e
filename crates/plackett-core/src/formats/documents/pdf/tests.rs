//! PDFs written by hand, object by object.

use super::super::single::{Parts, Source, Unread};
use super::super::tally::Tally;
use super::page::PageText;
use super::reader;
use lopdf::{Document, ObjectId};

/// A file of these objects, numbered from 1, the first of which is the catalogue.
fn file(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (nth, object) in objects.iter().enumerate() {
        places.push(bytes.len());
        bytes.extend(format!("{} 0 obj\n{object}\nendobj\n", nth + 1).bytes());
    }
    let start = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    places.iter().for_each(|place| bytes.extend(format!("{place:010} 00000 n \n").bytes()));
    let size = objects.len() + 1;
    bytes.extend(
        format!("trailer\n<</Size {size} /Root 1 0 R {trailer}>>\nstartxref\n{start}\n%%EOF\n").bytes(),
    );
    bytes
}

fn stream(entries: &str, content: &str) -> String {
    format!("<<{entries} /Length {}>>\nstream\n{content}\nendstream", content.len())
}

const FONT: &str = "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /FirstChar 32 /Widths [250 500]>>";

/// A file with one page for each content, and more objects from number 10 on.
fn pages(contents: &[&str], more: &[String], trailer: &str) -> Vec<u8> {
    let kids: Vec<String> = (0..contents.len()).map(|nth| format!("{} 0 R", 4 + 2 * nth)).collect();
    let mut objects = vec![
        "<</Type /Catalog /Pages 2 0 R>>".to_string(),
        format!("<</Type /Pages /Kids [{}] /Count {}>>", kids.join(" "), contents.len()),
        FONT.to_string(),
    ];
    for (nth, content) in contents.iter().enumerate() {
        objects.push(format!(
            "<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {} 0 R /Resources <</Font <</F1 3 0 R>> /XObject \
             <</X 10 0 R>>>>>>",
            5 + 2 * nth
        ));
        objects.push(stream("", content));
    }
    while objects.len() < 9 {
        objects.push("null".into());
    }
    objects.extend_from_slice(more);
    file(&objects, trailer)
}

fn read(bytes: &[u8]) -> (Result<Parts, String>, Vec<String>) {
    let tally = Tally::default();
    let parts = match reader::read(&Source { file: "a.pdf", bytes, tally: &tally }) {
        Ok(parts) => Ok(parts),
        Err(Unread::Wrong(error) | Unread::Partly { error, .. }) => Err(error.to_string()),
        Err(Unread::Nothing(why)) => Err(why.to_string()),
    };
    (parts, tally.remarks())
}

fn text(content: &str, more: &[String]) -> String {
    let (parts, remarks) = read(&pages(&[content], more, ""));
    assert_eq!(remarks, Vec::<String>::new());
    parts.unwrap().text
}

#[test]
fn strings_become_words_and_lines_by_their_places() {
    for (content, expected) in [
        ("BT /F1 10 Tf 50 700 Td (Hello) Tj 0 -12 Td (next) Tj T* ET", "Hello\nnext"),
        ("BT /F1 10 Tf (a) Tj 5 0 Td (b) Tj 7 0 Td (c) Tj ET", "ab c"),
        ("BT /F1 10 Tf [(wo) 20 (rd) -300 (more)] TJ ET", "word more"),
        ("BT /F1 10 Tf 12 TL (one) Tj (two) ' 1 0 (three) \" ET", "one\ntwo\nthree"),
        ("BT /F1 1 Tf 10 0 0 10 50 700 Tm (a) Tj 10 0 0 10 50 688 Tm (b) Tj ET", "a\nb"),
        ("q 1 0 0 1 0 50 cm BT /F1 10 Tf (up) Tj ET Q BT /F1 10 Tf (down) Tj ET", "up\ndown"),
        ("BT /F1 10 Tf (caf\\351) Tj ET", "caf\u{e9}"),
    ] {
        assert_eq!(text(content, &[]), expected, "{content}");
    }
    let (parts, _) = read(&pages(&["BT /F1 10 Tf (one) Tj ET", "BT /F1 10 Tf (two) Tj ET"], &[], ""));
    assert_eq!(parts.unwrap().text, "one\n\ntwo");
}

#[test]
fn drawings_are_read_and_one_that_draws_itself_ends() {
    let form = stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9]", "BT /F1 10 Tf (inside) Tj ET");
    assert_eq!(text("BT /F1 10 Tf (out) Tj ET 1 0 0 1 0 -20 cm /X Do", &[form]), "out\ninside");
    let form = stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9]", "BT /F1 10 Tf (x) Tj ET /X Do /X Do");
    assert!(text("/X Do", &[form]).starts_with('x'));
}

#[test]
fn what_the_file_says_of_itself_is_kept() {
    let info = "<</Title (A  title) /Author <FEFF00C9006D0069006C0065> /Keywords ()>>".to_string();
    let bytes = pages(&["BT /F1 10 Tf (words) Tj ET"], &[info], "/Info 10 0 R");
    let parts = read(&bytes).0.unwrap();
    assert_eq!(parts.title, "A title");
    assert_eq!(serde_json::Value::Object(parts.metadata), serde_json::json!({"author": "\u{c9}mile"}));
}

#[test]
fn what_cannot_be_read_is_said() {
    let (parts, _) = read(&pages(&["0 0 10 10 re f"], &[], ""));
    assert!(parts.unwrap_err().contains("scanned"));
    let lock = "<</Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <0000000000000000000000000000000000000000000000000000000000000000> \
                /U <0000000000000000000000000000000000000000000000000000000000000000>>>";
    let trailer =
        "/Encrypt 10 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]";
    let (parts, _) = read(&pages(&["BT /F1 10 Tf (words) Tj ET"], &[lock.into()], trailer));
    assert!(parts.as_ref().is_err_and(|why| why.contains("password")), "{parts:?}");
    for bytes in [&b"%PDF-1.7\n%words"[..], b"", b"%PDF-1.4\ntrailer <</Root 1 0 R>>"] {
        let (parts, _) = read(bytes);
        assert!(parts.as_ref().is_err_and(|why| why.contains("not a readable PDF")), "{parts:?}");
    }
    let (parts, remarks) = read(&pages(&["BT /F9 10 Tf (words) Tj ET BT /F1 9 Tf (a) Tj ET"], &[], ""));
    assert!(parts.is_ok() && remarks.len() == 1 && remarks[0].contains("fonts"), "{parts:?} {remarks:?}");
}

#[test]
fn pages_that_a_damaged_file_lost_are_told() {
    let whole = pages(&["BT /F1 10 Tf (one) Tj ET", "BT /F1 10 Tf (two) Tj ET"], &[], "");
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(whole.clone()).unwrap();
        assert!(text.contains(from) && from.len() == to.len(), "{from}");
        text.replace(from, to).into_bytes()
    };
    let (parts, remarks) = read(&changed("/Count 2", "/Count 3"));
    assert_eq!(parts.unwrap().text, "one\n\ntwo");
    assert!(remarks.len() == 1 && remarks[0].contains("cannot be read"), "{remarks:?}");
    assert!(remarks[0].ends_with("1 file (1 missing page of a.pdf)"), "{remarks:?}");
    // No object has the number 99: the page's content is not there, or the page itself.
    for (from, to) in [
        ("/Contents 7 0 R /Resources", "/Contents 99 0 R/Resources"),
        ("/Kids [4 0 R 6 0 R]", "/Kids[4 0 R 99 0 R]"),
    ] {
        let (parts, remarks) = read(&changed(from, to));
        assert_eq!(parts.unwrap().text, "one", "{to}");
        assert!(remarks.len() == 1 && remarks[0].contains("cannot be read"), "{to}: {remarks:?}");
        assert!(remarks[0].ends_with("1 file (page 2 of a.pdf)"), "{remarks:?}");
    }
    // Damage, and not a scan, is why nothing can be read.
    let (parts, _) = read(&changed("/Kids [4 0 R 6 0 R] /Count", "/Kids[98 0 R 99 0 R]/Count"));
    let why = parts.unwrap_err();
    assert!(why.contains("damaged") && !why.contains("scanned"), "{why}");
}

/// Bytes as deflate stores them (RFC 1951, section 3.2.4), behind a zlib header and without the checksum that should follow.
fn stored(content: &str) -> Vec<u8> {
    let length = content.len() as u16;
    let mut bytes = vec![0x78, 0x01, 0x01];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(content.bytes());
    bytes
}

#[test]
fn a_stream_that_unpacks_in_part_is_told_with_its_page() {
    let content = "BT /F1 10 Tf (two) Tj ET BT /F1 10 Tf 0 -20 Td (three) Tj ET";
    let packed = stored(content);
    let cut = packed.len() - content.len() + content.find(" BT ").unwrap();
    let second_page = |filter: &str, bytes: &[u8]| {
        // A mark stands for each byte until the file is put together.
        let object = stream(&format!("/Filter {filter}"), &"#".repeat(bytes.len()));
        let file = pages(&["BT /F1 10 Tf (one) Tj ET", ""], &[object], "");
        let file = String::from_utf8(file).unwrap();
        let file = file.replace("/Contents 7 0 R /Resources", "/Contents 10 0 R/Resources");
        let at = file.find('#').unwrap();
        let mut file = file.into_bytes();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        let (parts, remarks) = read(&file);
        (parts.unwrap().text, remarks)
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + ">";
    let both = "[/ASCIIHexDecode /FlateDecode]";
    for (filter, whole, part) in [
        ("/FlateDecode", packed.clone(), packed[..cut].to_vec()),
        (both, hex(&packed).into_bytes(), hex(&packed[..cut]).into_bytes()),
    ] {
        assert_eq!(second_page(filter, &whole), ("one\n\ntwo\nthree".into(), Vec::new()), "{filter}");
        let (text, remarks) = second_page(filter, &part);
        assert_eq!(text, "one\n\ntwo", "{filter}");
        assert!(remarks.len() == 1 && remarks[0].ends_with("1 file (page 2 of a.pdf)"), "{remarks:?}");
    }
    // The same of a drawing.
    let entries = format!("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Filter {both}");
    let (parts, remarks) = read(&pages(&["/X Do"], &[stream(&entries, &hex(&packed[..cut]))], ""));
    assert_eq!(parts.unwrap().text, "two");
    assert!(remarks.len() == 1 && remarks[0].ends_with("1 file (page 1 of a.pdf)"), "{remarks:?}");
    // It is told each time that it is drawn, also when it is known from a page before.
    let bytes = pages(&["/X Do", "/X Do"], &[stream(&entries, &hex(&packed[..cut]))], "");
    let document = Document::load_mem(&bytes).unwrap();
    let mut page_text = PageText::new(&document);
    for page in document.page_iter() {
        assert_eq!(page_text.of(page).unwrap(), "two");
        assert!(!page_text.drew_whole());
    }
}

#[test]
fn damaged_files_do_not_stop_the_program() {
    let whole = pages(&["BT /F1 10 Tf 50 700 Td (Hello) Tj ET", "BT /F1 10 Tf (two) Tj ET"], &[], "");
    for cut in (0..whole.len()).step_by(7) {
        let _ = read(&whole[..cut]);
    }
    for at in (0..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[at] = changed[at].wrapping_add(13);
        let _ = read(&changed);
    }
}

#[test]
fn a_document_carries_out_so_many_commands_and_no_more() {
    let bytes = pages(&["BT /F1 10 Tf (one) Tj ET", "BT /F1 10 Tf (two) Tj ET"], &[], "");
    let document = Document::load_mem(&bytes).unwrap();
    let [first, second]: [ObjectId; 2] = document.page_iter().collect::<Vec<_>>().try_into().unwrap();
    let mut page_text = PageText::new(&document);
    // A page has 24 bytes of commands.
    page_text.left = 40;
    assert_eq!(page_text.of(first).unwrap(), "one");
    assert!(page_text.is_whole(second));
    assert!(page_text.of(second).is_err());
    assert!(!page_text.is_whole(second) && page_text.of(first).is_err());
}
