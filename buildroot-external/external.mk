# Every package of this tree; none of them is listed by hand.
include $(sort $(wildcard $(BR2_EXTERNAL_LINNET_PATH)/package/*/*.mk))
