"""`hikyaku cost`: what the line costs in AWS, line by line, from a price file with sources and dates."""
