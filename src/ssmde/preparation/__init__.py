"""Preparing: what turns an archive, a video or a folder into scene folders."""
