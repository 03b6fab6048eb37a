"""The client of Alibaba Cloud's ApsaraVideo VOD API."""
