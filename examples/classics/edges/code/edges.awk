# Plain PGM in, plain PGM out: how much each pixel differs from its neighbours to the right and below.
function off(a, b) { return a > b ? a - b : b - a }
{ for (i = 1; i <= NF; i++) word[n++] = $i }
END {
    width = word[1]; height = word[2]; most = word[3]
    print "P2"; print width, height; print most
    for (y = 0; y < height; y++) {
        line = ""
        for (x = 0; x < width; x++) {
            at = 4 + y * width + x
            edge = (x + 1 < width ? off(word[at], word[at + 1]) : 0) + (y + 1 < height ? off(word[at], word[at + width]) : 0)
            line = line (x ? " " : "") (edge > most ? most : edge)
        }
        print line
    }
}
