include $(sort $(wildcard $(BR2_EXTERNAL_LINNET_PATH)/package/*/*.mk))
