# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The image type `signed-ddi`: an image recipe's erofs as a signed UAPI discoverable disk image (DDI), made by the program `ddi`.
#
#     inherit core-image signed-ddi
#     IMAGE_FSTYPES = "signed-ddi"
#
# Deploys IMAGE.signed-ddi. What signs and what checks it: docs/variables.md, INITOVERLAYFS_SIGNING and below. With
# INITOVERLAYFS_SIGNING = "detached" the first build deploys IMAGE.unsigned-ddi and IMAGE.roothash, the bytes to sign; a second
# one, with INITOVERLAYFS_SIGNATURE, IMAGE.signed-ddi.
#
# The image's os-release gets IMAGE_ID and IMAGE_VERSION, which storage-init compares with its configuration and the file's name.
#
# meta-oe has another way to make such images: discoverable-disk-image.bbclass (type `ddi`) runs systemd-repart, and
# image_types_verity.bbclass makes the hash tree alone. storage-init boots what the first of them makes, if it is signed.

inherit initoverlayfs

IMAGE_TYPES:append = " signed-ddi"
IMAGE_TYPEDEP:signed-ddi = "erofs-lz4hc"
# The same files give the same bytes, under whatever name and wherever built.
EXTRA_IMAGECMD:erofs-lz4hc ?= "-T ${REPRODUCIBLE_TIMESTAMP_ROOTFS} -U 00000000-0000-0000-0000-000000000000 --all-time"

do_image_signed_ddi[depends] += "ddi-native:do_populate_sysroot"
do_image_signed_ddi[depends] += "${@signed_ddi_openssl(d)}"
# The certificate's contents count. Where the key lies does not, and an HSM may be behind a network.
do_image_signed_ddi[file-checksums] += "${@' '.join(path + ':True' for path in signed_ddi_files(d))}"
do_image_signed_ddi[subimages] += "unsigned-ddi roothash"
SIGNED_DDI_FLOW = "${@signed_ddi_flow(d)}"
SIGNED_DDI_FLOW[vardepvalue] = "${SIGNED_DDI_FLOW}"
signed_ddi_image[vardepsexclude] += "INITOVERLAYFS_SIGNING_KEY INITOVERLAYFS_OPENSSL_CONF INITOVERLAYFS_CERTIFICATE INITOVERLAYFS_TRUSTED_CERTIFICATES INITOVERLAYFS_SIGNATURE"
signed_ddi_join[vardepsexclude] += "INITOVERLAYFS_CERTIFICATE"
do_image_signed_ddi[network] = "${@'1' if signed_ddi_flow(d) == 'pkcs11' else '0'}"

# Which of the ways below.
def signed_ddi_flow(d):
    if d.getVar('INITOVERLAYFS_DANGEROUSLY_UNSIGNED') == '1':
        return 'unsigned'
    if d.getVar('INITOVERLAYFS_SIGNING') == 'detached':
        return 'join' if d.getVar('INITOVERLAYFS_SIGNATURE') else 'to-sign'
    return 'pkcs11' if (d.getVar('INITOVERLAYFS_SIGNING_KEY') or '').startswith('pkcs11:') else 'key'

# What signs by a PKCS#11 URI. openssl's way to a token is meta-oe's; without that layer INITOVERLAYFS_OPENSSL_CONF names one of the host's.
def signed_ddi_openssl(d):
    if signed_ddi_flow(d) != 'pkcs11':
        return ''
    provider = 'openembedded-layer' in (d.getVar('BBFILE_COLLECTIONS') or '').split()
    return 'openssl-native:do_populate_sysroot' + (' pkcs11-provider-native:do_populate_sysroot' if provider else '')

def signed_ddi_files(d):
    names = ('INITOVERLAYFS_CERTIFICATE', 'INITOVERLAYFS_TRUSTED_CERTIFICATES', 'INITOVERLAYFS_SIGNATURE')
    return [path for name in names for path in (d.getVar(name) or '').split()]

python () {
    if 'signed-ddi' in (d.getVar('IMAGE_FSTYPES') or '').split() and signed_ddi_flow(d) != 'unsigned':
        needed = ['INITOVERLAYFS_CERTIFICATE', 'INITOVERLAYFS_TRUSTED_CERTIFICATES']
        if d.getVar('INITOVERLAYFS_SIGNING') == 'key':
            needed.append('INITOVERLAYFS_SIGNING_KEY')
        initoverlayfs_check_required(d, needed)
}

IMAGE_CMD:signed-ddi = "signed_ddi_image"

signed_ddi_image() {
	# Not among what is deployed before all of it is there: were this task to fail half way, BitBake would go by the stamp of the run before, and
	# deploy what that run no longer finds.
	rm -rf ${WORKDIR}/signed-ddi
	mkdir ${WORKDIR}/signed-ddi
	image=${WORKDIR}/signed-ddi/${IMAGE_NAME}
	# By its link: where this task alone runs again, the erofs has the time of another build in its name.
	erofs=${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.erofs-lz4hc
	case ${SIGNED_DDI_FLOW} in
	key)
		ddi build --erofs $erofs --key '${INITOVERLAYFS_SIGNING_KEY}' --cert '${INITOVERLAYFS_CERTIFICATE}' \
			--output $image.signed-ddi \
			|| bbfatal 'no image by INITOVERLAYFS_SIGNING_KEY = "${INITOVERLAYFS_SIGNING_KEY}" and INITOVERLAYFS_CERTIFICATE = "${INITOVERLAYFS_CERTIFICATE}": expected a key and the certificate of that key, and ddi says why not, above'
		;;
	pkcs11)
		signed_ddi_to_sign $image
		OPENSSL_CONF='${INITOVERLAYFS_OPENSSL_CONF}' openssl smime -sign -nocerts -noattr -binary -outform der \
			-in $image.roothash -signer '${INITOVERLAYFS_CERTIFICATE}' -inkey '${INITOVERLAYFS_SIGNING_KEY}' \
			-out ${WORKDIR}/signature.p7 \
			|| bbfatal 'openssl could not sign with INITOVERLAYFS_SIGNING_KEY, by INITOVERLAYFS_OPENSSL_CONF = "${INITOVERLAYFS_OPENSSL_CONF}"'
		signed_ddi_join $image ${WORKDIR}/signature.p7 INITOVERLAYFS_SIGNING_KEY
		;;
	join)
		signed_ddi_to_sign $image
		signed_ddi_join $image '${INITOVERLAYFS_SIGNATURE}' 'INITOVERLAYFS_SIGNATURE = "${INITOVERLAYFS_SIGNATURE}"'
		;;
	to-sign)
		signed_ddi_to_sign $image
		signed_ddi_finish
		bbnote "sign ${IMAGE_LINK_NAME}.roothash of the deploy folder and build again with INITOVERLAYFS_SIGNATURE"
		return
		;;
	unsigned)
		signed_ddi_to_sign $image
		signed_ddi_finish
		bbwarn 'INITOVERLAYFS_DANGEROUSLY_UNSIGNED = "1": storage-init does not boot this image'
		return
		;;
	esac

	if [ '${INITOVERLAYFS_DEBUG}' = 1 ]; then
		ddi inspect --json $image.signed-ddi | grep -q '"development": *true' \
			|| bbfatal 'INITOVERLAYFS_DEBUG = "1": expected a certificate whose common name has the word DEVELOPMENT, and INITOVERLAYFS_CERTIFICATE = "${INITOVERLAYFS_CERTIFICATE}" is none'
	fi
	bytes=$(stat -c %s $image.signed-ddi)
	[ $bytes -le $(expr ${INITOVERLAYFS_PARTITION_SIZE} \* 1048576) ] \
		|| bbfatal "INITOVERLAYFS_PARTITION_SIZE = \"${INITOVERLAYFS_PARTITION_SIZE}\" (MiB): the image has $bytes bytes, and does not fit"
	set --
	for certificate in ${INITOVERLAYFS_TRUSTED_CERTIFICATES}; do
		set -- "$@" --cert $certificate
	done
	ddi verify $image.signed-ddi "$@" \
		|| bbfatal 'INITOVERLAYFS_TRUSTED_CERTIFICATES = "${INITOVERLAYFS_TRUSTED_CERTIFICATES}": a device that trusts these would refuse the image, see above; expected the certificate of who signed it (INITOVERLAYFS_CERTIFICATE = "${INITOVERLAYFS_CERTIFICATE}") among them'
	signed_ddi_finish
}

# In place of what this task made when it ran before, perhaps by another way of signing.
signed_ddi_finish() {
	for type in signed-ddi unsigned-ddi roothash; do
		rm -f ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}*.$type
	done
	mv ${WORKDIR}/signed-ddi/* ${IMGDEPLOYDIR}
}

signed_ddi_to_sign() {
	ddi build --erofs $erofs --unsigned-out $1.unsigned-ddi --to-sign $1.roothash || bbfatal 'no image: ddi says why, above'
}

signed_ddi_join() {
	ddi join-signature $1.unsigned-ddi --signature "$2" --cert '${INITOVERLAYFS_CERTIFICATE}' --output $1.signed-ddi \
		|| bbfatal "$3: not a signature of this image's root hash by INITOVERLAYFS_CERTIFICATE = \"${INITOVERLAYFS_CERTIFICATE}\", see above"
	rm $1.unsigned-ddi $1.roothash
}

ROOTFS_POSTPROCESS_COMMAND += "signed_ddi_identity"
signed_ddi_identity() {
	file=${IMAGE_ROOTFS}${nonarch_libdir}/os-release
	install -d ${IMAGE_ROOTFS}${nonarch_libdir}
	[ ! -e $file ] || sed -i -e '/^IMAGE_ID=/d' -e '/^IMAGE_VERSION=/d' $file
	printf 'IMAGE_ID=%s\nIMAGE_VERSION=%s\n' '${INITOVERLAYFS_IMAGE_ID}' '${INITOVERLAYFS_IMAGE_VERSION}' >> $file
}
