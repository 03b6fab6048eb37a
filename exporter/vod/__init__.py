"""How to ask Alibaba Cloud's ApsaraVideo VOD."""
