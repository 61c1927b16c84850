"""What a run did, as one page: numbers of the folder, told in sections, drawn and served."""
