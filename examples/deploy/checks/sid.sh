# Functions for packages of Debian unstable, which are unpacked and not installed.

# sid_setup FOLDER: creates the folders of a separate apt, and reads the package lists.
sid_setup() {
    local folder=$1 mirror
    mkdir -p "$folder"/{lists/partial,archives/partial,root}
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$mirror" >"$folder/sources.list"
    : >"$folder/status"
    sid=(apt-get -qq -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=-
        -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache="$folder"
        -o Dir::Cache::archives="$folder/archives" -o APT::Sandbox::User=root -o APT::Install-Recommends=false)
    "${sid[@]}" update
}

# sid_unpack FOLDER PATTERN: unpacks the downloaded packages that match.
sid_unpack() {
    local package
    for package in "$1"/archives/$2.deb; do
        dpkg -x "$package" "$1/root"
    done
}
