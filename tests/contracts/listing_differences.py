"""What each server answers where it differs from S3, in the contracts of `listing_contracts.py`, `page_contracts.py`.

A difference is checked to be still there. One that has gone fails its test until its row is removed.
"""

from __future__ import annotations

from typing import Any, Final

_KEYS_ENCODED_OTHERWISE: Final = ["a%20b%2Bc%25~%2A%C3%A9/%3D", "%20%22%26"]
"""A space is `%20`, `*` is encoded and `~` is not: a reader that decodes `+` too reads both forms alike."""

_UNVERIFIED: Final = ["200", "200", "200"]

LOCALSTACK: Final[dict[str, Any]] = {
    # HTTP paths that begin with two slashes
    "hostile_keys_on_one_page": {"refused": ["/", "//"], "listed": "all, in order"},
    # markers lose what their encoding changes, so that a chain over hostile keys skips some and tells others twice
    "hostile_versions_in_small_pages": "some repeated, some missing",
    "hostile_objects_in_small_pages": "some missing",
    "keys_are_encoded_as_in_a_form": _KEYS_ENCODED_OTHERWISE,
    # a page has all delete markers first, then all versions
    "versions_come_newest_first": ["b marker latest", "a v2 latest", "a v1", "a v0", "b v0"],
    # zero is taken for the default, and pages have no upper limit
    "max_keys_is_kept": ["3 false", "5000", "2 true", "3 false"],
    "elements_of_a_version": (
        "Key ETag Owner Size VersionId LastModified IsLatest StorageClass ChecksumAlgorithm ChecksumType"
    ),
    "elements_of_an_object": "Key ETag Size LastModified StorageClass ChecksumAlgorithm ChecksumType",
    "elements_of_a_delete_marker": "Key Owner VersionId IsLatest LastModified",
    # without versioning nothing is cut into pages
    "elements_of_a_page_of_versions": "IsTruncated KeyMarker VersionIdMarker Name Prefix MaxKeys EncodingType",
    "elements_of_a_page_of_objects": ("IsTruncated Name Prefix MaxKeys EncodingType KeyCount NextContinuationToken"),
    "parameters_are_checked": ["500 InternalError", "200", "200", "500 InternalError", "400 InvalidArgument"],
    "signatures_are_verified": _UNVERIFIED,
}

MINISTACK: Final[dict[str, Any]] = {
    # ListObjectVersions ignores encoding-type, so that a control character breaks the XML
    "hostile_versions_in_small_pages": "no XML",
    "keys_are_encoded_as_in_a_form": _KEYS_ENCODED_OTHERWISE,
    # the page after a version that was removed begins after all versions of its key
    "a_removed_marker_keeps_its_place": [],
    # the marker's own version comes again
    "pages_of_an_unversioned_bucket_name_each_once": "some repeated",
    # the marker of a common prefix is not passed over
    "a_delimiter_folds_versions_in_pages": [["no end"], []],
    # an empty page is truncated and names no marker
    "max_keys_is_kept": ["0 true", "5000", "2 true", "3 false"],
    "elements_of_a_version": "Key VersionId IsLatest LastModified ETag Size StorageClass Owner",
    "elements_of_an_object": "Key LastModified ETag Size StorageClass",
    "elements_of_a_page_of_versions": (
        "Name Prefix KeyMarker VersionIdMarker MaxKeys IsTruncated NextKeyMarker NextVersionIdMarker"
    ),
    "elements_of_a_page_of_objects": ("Name Prefix EncodingType MaxKeys KeyCount IsTruncated NextContinuationToken"),
    "last_modified_has_whole_seconds": "milliseconds",
    "parameters_are_checked": ["500", "200", "200", "200", "200"],
    "signatures_are_verified": _UNVERIFIED,
}

MOTO: Final[dict[str, Any]] = {
    # a path with a line feed is not found
    "hostile_keys_on_one_page": {"refused": ["tab\tand\nline\rfeed"], "listed": "all, in order"},
    # ListObjectVersions ignores encoding-type, so that a control character breaks the XML
    "hostile_versions_in_small_pages": "no XML",
    "keys_are_encoded_as_in_a_form": _KEYS_ENCODED_OTHERWISE,
    # a page has all versions first, then all delete markers
    "versions_come_newest_first": ["a v2 latest", "a v1", "a v0", "b v0", "b marker latest"],
    # the oldest version of the key is told once more
    "a_key_marker_alone_skips_all_versions": ["a null", "b v1 latest", "b v0"],
    # the page after a version that was removed begins after all versions of its key
    "a_removed_marker_keeps_its_place": [],
    # a write after versioning was suspended drops all older versions
    "a_suspended_bucket_replaces_the_null_version": ["a null latest"],
    "max_keys_is_kept": ["0 false", "5000", "2 true", "3 false"],
    "elements_of_a_version": "ETag Size StorageClass Key VersionId IsLatest LastModified Owner",
    "elements_of_an_object": "Key LastModified ETag Size StorageClass",
    # a DELETE of a key without versions makes no delete marker
    "elements_of_a_delete_marker": "",
    "elements_of_a_page_of_versions": (
        "IsTruncated KeyMarker VersionIdMarker NextKeyMarker NextVersionIdMarker Name Prefix MaxKeys"
    ),
    "elements_of_a_page_of_objects": ("IsTruncated Name Prefix MaxKeys EncodingType KeyCount NextContinuationToken"),
    "parameters_are_checked": ["500", "500", "200", "200", "200"],
    "signatures_are_verified": _UNVERIFIED,
}

DIFFERENCES: Final[dict[str, dict[str, Any]]] = {
    "local": {},
    "localstack": LOCALSTACK,
    "ministack": MINISTACK,
    "moto": MOTO,
}
"""Server → contract → what it answers instead."""
